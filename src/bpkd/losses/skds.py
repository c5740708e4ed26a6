"""SKDS: each pixel's classes, and how alike any two places are, follow the teacher's.

Liu et al., Structured Knowledge Distillation for Semantic Segmentation, CVPR 2019. The third
term, holistic, has a network of its own: :mod:`bpkd.losses.holistic`.
"""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from bpkd.losses.bases import FeatureLoss
from bpkd.losses.kd import KD
from bpkd.networks.base import SegOutput


def pair_wise(
    student: Tensor,
    teacher: Tensor,
    kernel_size: tuple[int, int] = (2, 2),
    valid: Tensor | None = None,
    *,
    constant_norm: bool = False,
) -> Tensor:
    """How alike any two places are: 1 / (N n²) Σ_ij (a_ij of student - a_ij of teacher)².

    The maps are max-pooled to n places; a_ij is the cosine of their features i and j.

    Args:
        student: feature maps (N, D, h, w).
        teacher: feature maps (N, D', h, w); no gradient flows to them.
        kernel_size: the window of the max-pool and its stride, in pixels (ceil mode).
        valid: (N, 1, h, w) booleans, the pixels that count; None for all.
        constant_norm: as in the authors' code, take the norms for constants in the gradient.

    Returns:
        A scalar >= 0.

    Example:
        >>> student = torch.tensor([[[[1.0, 0.0]], [[0.0, 1.0]]]])  # two places at right angles
        >>> pair_wise(student, torch.ones(1, 2, 1, 2), (1, 1))  # off the diagonal: (0 - 1)²
        tensor(0.5000)
    """
    ours = _places(student, kernel_size, valid, constant_norm)
    theirs = _places(teacher.detach(), kernel_size, valid, constant_norm)
    difference = ours.transpose(1, 2) @ ours - theirs.transpose(1, 2) @ theirs
    if valid is None:
        return difference.square().mean()
    pooled = F.max_pool2d(valid.to(student.dtype), kernel_size, ceil_mode=True)
    return difference.square().sum() / pooled.sum(dim=(1, 2, 3)).square().sum().clamp(min=1)


def _places(
    maps: Tensor, kernel_size: tuple[int, int], valid: Tensor | None, constant_norm: bool
) -> Tensor:
    """Max-pooled features of length 1: (N, D, n), 0 where no pixel is valid."""
    if valid is not None:
        lowest = torch.finfo(maps.dtype).min
        maps = maps.masked_fill(~valid, lowest)
    pooled = F.max_pool2d(maps, kernel_size, ceil_mode=True)
    if valid is not None:
        pooled = pooled.masked_fill(pooled == lowest, 0.0)
    pooled = pooled.flatten(2)
    if constant_norm:
        norms: Tensor = torch.linalg.vector_norm(pooled.detach(), dim=1, keepdim=True)
        return pooled / (norms + 1e-8)
    return F.normalize(pooled, dim=1)


class PairWise(FeatureLoss):
    """:func:`pair_wise` on feature maps, which may differ in channels.

    Args:
        variant: ``cirkd``, windows of 2x2 and the true gradient (CIRKD's code, weight 10), or
            ``skds``, windows of ``scale`` of the map and constant norms (the authors' code,
            weight 0.5).
        scale: side of the window over that of the map, for ``skds``.
        feature: name of the features.
        ignore_index: label of pixels that are left out; None keeps them, as published code does.
    """

    weights: ClassVar[dict[str, float]] = {"pair_wise": 10.0}

    def __init__(
        self,
        variant: Literal["cirkd", "skds"] = "cirkd",
        scale: float = 0.5,
        feature: str = "head",
        ignore_index: int | None = 255,
    ) -> None:
        super().__init__(feature, ignore_index)
        self.variant = variant
        self.scale = scale

    def forward(self, student: SegOutput, teacher: SegOutput, labels: Tensor) -> dict[str, Tensor]:
        """Outputs of both networks and labels (N, H, W) -> the term ``pair_wise``."""
        maps, target, valid = self.maps(student, teacher, labels)
        window, authors = (2, 2), self.variant == "skds"
        if authors:
            h, w = maps.shape[-2:]
            window = (max(1, int(h * self.scale)), max(1, int(w * self.scale)))
        return {"pair_wise": pair_wise(maps, target, window, valid, constant_norm=authors)}


class PixelWise(KD):
    """:func:`bpkd.losses.kd.kd` as in the authors' code: cross-entropy, summed over images.

    Args:
        ignore_index: label of pixels that are left out; None keeps them, as published code does.
    """

    weights: ClassVar[dict[str, float]] = {"kd": 10.0}

    def __init__(self, ignore_index: int | None = 255) -> None:
        super().__init__(reduction="skds", ignore_index=ignore_index)
