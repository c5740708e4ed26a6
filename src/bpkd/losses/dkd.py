"""DKD at each pixel: the true class and the others are distilled apart.

Zhao et al., Decoupled Knowledge Distillation, CVPR 2022, equations 7 and 9; there for one label an
image, here for one a pixel.
"""

from __future__ import annotations

from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from bpkd.losses.bases import LogitLoss
from bpkd.losses.common import Output, logit_maps
from bpkd.losses.features import nearest_labels


def dkd(
    student: Tensor, teacher: Tensor, labels: Tensor, temperature: float = 4.0
) -> tuple[Tensor, Tensor]:
    """T² times the mean over pixels of two KL divergences of p = softmax(logits / T).

    Args:
        student: logits (P, C), C >= 2, a row a pixel.
        teacher: logits of the same shape; no gradient flows to them.
        labels: (P,) the true classes, int64.
        temperature: T > 0.

    Returns:
        target: of (p_true, 1 - p_true).
        others: of the distribution over the other classes alone.

    Example:
        >>> teacher = torch.tensor([[0.5, 0.25, 0.25]]).log()
        >>> student = torch.tensor([[0.5, 0.375, 0.125]]).log()
        >>> target, others = dkd(student, teacher, torch.tensor([0]), temperature=1.0)
        >>> abs(round(target.item(), 4)), round(others.item(), 4)  # 0.5 log(2/3) + 0.5 log 2
        (0.0, 0.1438)
    """
    binary_q, log_q = _decoupled(student / temperature, labels)
    binary_p, log_p = _decoupled(teacher.detach() / temperature, labels)
    scale = temperature**2 / max(len(labels), 1)
    target = F.kl_div(binary_q, binary_p, reduction="sum", log_target=True)
    others = F.kl_div(log_q, log_p, reduction="sum", log_target=True)
    return scale * target, scale * others


def _decoupled(logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Log-probabilities (P, 2) of true class and rest, and (P, C - 1) among the rest."""
    pixels, classes = logits.shape
    other = torch.ones_like(logits, dtype=torch.bool).scatter(1, labels.unsqueeze(1), False)
    rest = logits[other].view(pixels, classes - 1)
    true = logits.gather(1, labels.unsqueeze(1))
    binary = torch.cat([true, rest.logsumexp(dim=1, keepdim=True)], dim=1)
    return F.log_softmax(binary, dim=1), F.log_softmax(rest, dim=1)


class DKD(LogitLoss):
    """:func:`dkd` on the networks' logits, at the pixels with a label.

    The weights are the paper's α and β for most pairs of networks on CIFAR-100; it has none for
    segmentation.

    Args:
        temperature: T > 0.
        ignore_index: label of pixels that are left out.
    """

    weights: ClassVar[dict[str, float]] = {"target": 1.0, "others": 8.0}

    def __init__(self, temperature: float = 4.0, ignore_index: int = 255) -> None:
        super().__init__(temperature, ignore_index)

    def forward(self, student: Output, teacher: Output, labels: Tensor) -> dict[str, Tensor]:
        """Outputs of both networks and labels (N, H, W) -> the terms ``target`` and ``others``."""
        logits, target = logit_maps(student, teacher)
        small = nearest_labels(labels, logits.shape[-2:]).long()
        kept = small != self.ignore_index
        ours, theirs = logits.movedim(1, -1)[kept], target.movedim(1, -1)[kept]
        true, others = dkd(ours, theirs, small[kept], self.temperature)
        return {"target": true, "others": others}
