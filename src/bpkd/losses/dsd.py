"""DSD: how attention changes through the network, and how class maps relate, follow the teacher.

Feng et al., Double Similarity Distillation for Semantic Image Segmentation, IEEE TIP 2021; formulas
and reductions as in CIRKD's code.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from itertools import combinations
from typing import ClassVar

import torch.nn.functional as F
from torch import Tensor

from bpkd.losses.at import attention
from bpkd.losses.bases import LogitLoss
from bpkd.losses.common import Output, as_output, full_precision
from bpkd.losses.features import average_pool, feature_maps
from bpkd.networks.base import resize

# Far below any logit, yet finite: its softmax is 0.
_NOWHERE = -1e4


def psd(
    student: Sequence[Tensor], teacher: Sequence[Tensor], valid: Tensor | None = None
) -> Tensor:
    """Pixel-wise similarity: residuals of attention maps, A_n - A_m at length 1, compared.

    Mean over all pairs m < n and all pixels of the squared difference of both residuals.

    Args:
        student: two or more maps (N, D, h, w), from shallow to deep; channels may differ.
        teacher: as many maps of the same sizes; no gradient flows to them.
        valid: (N, 1, h, w) booleans, the pixels that count; None for all.

    Returns:
        A scalar >= 0.

    Example:
        >>> import torch
        >>> a, b = torch.tensor([[[[1.0, 0.0]]]]), torch.tensor([[[[0.0, 1.0]]]])
        >>> round(psd([a, b], [b, a]).item(), 4)  # residuals (-1, 1) and (1, -1), over root 2
        2.0
    """
    ours = [attention(maps, valid) for maps in student]
    theirs = [attention(maps.detach(), valid) for maps in teacher]
    pairs = list(combinations(range(len(ours)), 2))
    pixels = ours[0].numel() if valid is None else valid.sum().clamp(min=1)
    total = ours[0].new_zeros(())
    for m, n in pairs:
        residual = F.normalize(ours[n] - ours[m], dim=1)
        target = F.normalize(theirs[n] - theirs[m], dim=1)
        total = total + (residual - target).square().sum() / pixels
    return total / len(pairs)


def csd(
    student: Tensor, teacher: Tensor, temperature: float = 4.0, valid: Tensor | None = None
) -> Tensor:
    """Category-wise similarity: P = softmax over pixels of pooled logits / T, and G = P Pᵀ.

    Mean over images and pairs of classes of the squared difference of both G; the pool is the
    mean of 2x2 pixels.

    Args:
        student: logits (N, C, h, w).
        teacher: logits of the same shape; no gradient flows to them.
        temperature: T > 0.
        valid: (N, 1, h, w) booleans, the pixels that count; None for all.

    Returns:
        A scalar >= 0.

    Example:
        >>> import torch
        >>> student = torch.zeros(1, 1, 1, 4)  # two blocks: P = (1/2, 1/2), G = 1/2
        >>> teacher = torch.tensor([[[[99.0, 99.0, 0.0, 0.0]]]])  # P = (1, 0), G = 1
        >>> csd(student, teacher, temperature=1.0).item()
        0.25
    """

    def similarities(logits: Tensor) -> Tensor:
        pooled, blocks = average_pool(logits, 2, valid)
        if blocks is not None:
            pooled = pooled.masked_fill(~blocks, _NOWHERE)
        shares = F.softmax(pooled.flatten(2) / temperature, dim=2)
        return shares @ shares.transpose(1, 2)

    return F.mse_loss(similarities(student), similarities(teacher.detach()))


class DSD(LogitLoss):
    """Both terms, ``psd`` on [auxiliary logits, features, logits] and ``csd`` on logits.

    Where one of the networks has no auxiliary logits, ``psd`` is left out with a warning.

    Args:
        temperature: T > 0, of ``csd``.
        feature: name of the features.
        ignore_index: label of pixels that are left out; None keeps them, as published code does.
    """

    weights: ClassVar[dict[str, float]] = {"psd": 1000.0, "csd": 10.0}
    needs_auxiliary = True

    def __init__(
        self, temperature: float = 4.0, feature: str = "head", ignore_index: int | None = 255
    ) -> None:
        super().__init__(temperature, ignore_index)
        self.feature = feature

    def forward(self, student: Output, teacher: Output, labels: Tensor) -> dict[str, Tensor]:
        """Outputs of both networks and labels (N, H, W) -> the terms ``psd`` and ``csd``."""
        student, teacher = as_output(student), as_output(teacher)
        logits, target, valid = self.maps(student, teacher, labels)
        terms = {"csd": csd(logits, target, self.temperature, valid)}
        if student.auxiliary is None or teacher.auxiliary is None:
            who = "student" if student.auxiliary is None else "teacher"
            warnings.warn(f"DSD: the {who} has no auxiliary logits, psd is left out", stacklevel=2)
            return terms
        features = feature_maps(student, teacher, self.feature)
        size = logits.shape[-2:]
        auxiliary = resize(full_precision(student.auxiliary), size)
        auxiliary_target = resize(full_precision(teacher.auxiliary.detach()), size)
        ours = [auxiliary, resize(features[0], size), logits]
        theirs = [auxiliary_target, resize(features[1], size), target]
        return {"psd": psd(ours, theirs, valid), **terms}
