"""AT: where the student's features are strong follows where the teacher's are.

Zagoruyko and Komodakis, Paying More Attention to Attention, ICLR 2017; reduced as in CIRKD's code.
"""

from __future__ import annotations

from typing import ClassVar

import torch.nn.functional as F
from torch import Tensor

from bpkd.losses.bases import FeatureLoss
from bpkd.networks.base import SegOutput


def attention(maps: Tensor, valid: Tensor | None = None) -> Tensor:
    """Mean over channels of the squares, as a vector of length 1 an image.

    Args:
        maps: (N, D, h, w).
        valid: (N, 1, h, w) booleans, the pixels that count; the others are 0. None for all.

    Returns:
        (N, h w).

    Example:
        >>> import torch
        >>> attention(torch.tensor([[[[3.0, 1.0]], [[3.0, 7.0]]]]).sqrt())  # means 3 and 4
        tensor([[0.6000, 0.8000]])
    """
    energy = maps.square().mean(dim=1, keepdim=True)
    if valid is not None:
        energy = energy * valid
    return F.normalize(energy.flatten(1), dim=1)


def at(student: Tensor, teacher: Tensor, valid: Tensor | None = None) -> Tensor:
    """Mean over pixels of the squared difference of both :func:`attention` maps.

    Args:
        student: feature maps (N, D, h, w).
        teacher: feature maps (N, D', h, w); no gradient flows to them.
        valid: (N, 1, h, w) booleans, the pixels that count; None for all.

    Returns:
        A scalar >= 0.

    Example:
        >>> import torch
        >>> student = torch.tensor([[[[1.0, 0.0]]]])
        >>> at(student, student.flip(3)).item()  # maps (1, 0) and (0, 1)
        1.0
    """
    difference = attention(student, valid) - attention(teacher.detach(), valid)
    pixels = difference.numel() if valid is None else valid.sum().clamp(min=1)
    return difference.square().sum() / pixels


class AT(FeatureLoss):
    """:func:`at` on feature maps, which may differ in channels.

    Args:
        feature: name of the features.
        ignore_index: label of pixels that are left out; None keeps them, as published code does.
    """

    weights: ClassVar[dict[str, float]] = {"at": 10000.0}

    def forward(self, student: SegOutput, teacher: SegOutput, labels: Tensor) -> dict[str, Tensor]:
        """Outputs of both networks and labels (N, H, W) -> the term ``at``."""
        maps, target, valid = self.maps(student, teacher, labels)
        return {"at": at(maps, target, valid)}
