"""DIST: probabilities need only correlate with the teacher's, within pixels and within classes.

Huang et al., Knowledge Distillation from A Stronger Teacher, NeurIPS 2022, equations 8 to 10.
"""

from __future__ import annotations

from typing import ClassVar

import torch.nn.functional as F
from torch import Tensor

from bpkd.losses.bases import LogitLoss
from bpkd.losses.common import Output, logit_maps
from bpkd.losses.features import nearest_labels


def pearson_distance(student: Tensor, teacher: Tensor) -> Tensor:
    """1 - Pearson's correlation of each row.

    Args:
        student: (R, K).
        teacher: (R, K).

    Returns:
        (R,) in [0, 2].

    Example:
        >>> import torch
        >>> student = torch.tensor([[1.0, 2.0, 3.0], [1.0, 2.0, 3.0]])
        >>> teacher = torch.tensor([[5.0, 7.0, 9.0], [3.0, 2.0, 1.0]])
        >>> pearson_distance(student, teacher).round(decimals=3) + 0.0
        tensor([0., 2.])
    """
    student = student - student.mean(dim=1, keepdim=True)
    teacher = teacher - teacher.mean(dim=1, keepdim=True)
    return 1 - F.cosine_similarity(student, teacher, dim=1)


def dist(student: Tensor, teacher: Tensor, temperature: float = 1.0) -> tuple[Tensor, Tensor]:
    """Both relations of p = softmax(logits / T), each T² times a mean of distances.

    Args:
        student: logits (P, C), a row a pixel (all pixels of the batch).
        teacher: logits of the same shape; no gradient flows to them.
        temperature: T > 0.

    Returns:
        inter: mean over pixels, of the correlation over classes.
        intra: mean over classes, of the correlation over pixels.

    Example:
        >>> import torch
        >>> logits = torch.tensor([[0.0, 3.0], [1.0, 0.0]])
        >>> [round(term.item(), 4) for term in dist(logits, -logits)]
        [2.0, 2.0]
    """
    q = F.softmax(student / temperature, dim=1)
    p = F.softmax(teacher.detach() / temperature, dim=1)
    # No pixel at all is no distance: a sum over max(count, 1) keeps it at 0 instead of nan.
    inter = pearson_distance(q, p).sum() / max(len(q), 1)
    if len(q) == 0:
        return temperature**2 * inter, q.sum()
    return temperature**2 * inter, temperature**2 * pearson_distance(q.T, p.T).mean()


class DIST(LogitLoss):
    """:func:`dist` on the networks' logits, at the pixels with a label.

    Args:
        temperature: T > 0.
        ignore_index: label of pixels that are left out; None keeps them, as published code does.
    """

    weights: ClassVar[dict[str, float]] = {"inter": 1.0, "intra": 1.0}

    def forward(self, student: Output, teacher: Output, labels: Tensor) -> dict[str, Tensor]:
        """Outputs of both networks and labels (N, H, W) -> the terms ``inter`` and ``intra``."""
        logits, target = logit_maps(student, teacher)
        ours, theirs = logits.movedim(1, -1), target.movedim(1, -1)
        if self.ignore_index is None:
            ours, theirs = ours.flatten(0, 2), theirs.flatten(0, 2)
        else:
            kept = nearest_labels(labels, logits.shape[-2:]) != self.ignore_index
            ours, theirs = ours[kept], theirs[kept]
        inter, intra = dist(ours, theirs, self.temperature)
        return {"inter": inter, "intra": intra}
