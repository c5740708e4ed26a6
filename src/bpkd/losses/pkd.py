"""PKD: each channel's pattern over the batch correlates with the teacher's.

Cao et al., PKD: General Distillation Framework for Object Detectors via Pearson Correlation
Coefficient, NeurIPS 2022.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from bpkd.losses.bases import level_maps
from bpkd.losses.features import channel_adapter, each_level

# Below any deviation that is more than rounding; the square root has a gradient there.
_TINY = 1e-30


def pkd(student: Tensor, teacher: Tensor, valid: Tensor | None = None) -> Tensor:
    """½ mean (ŝ - t̂)², with each channel of each network standardised over batch and space.

    x̂ = (x - mean) / (std + 1e-6), std with n - 1. So, but for the 1e-6, it is (n - 1) / n times
    the mean over channels of 1 - r, r Pearson's correlation.

    Args:
        student: feature maps (N, D, h, w).
        teacher: feature maps of the same shape; no gradient flows to them.
        valid: (N, 1, h, w) booleans, the pixels that count; None for all.

    Returns:
        A scalar >= 0.

    Example:
        >>> student = torch.tensor([[[[1.0, -1.0, 0.0]]]])  # r = ½: 2/3 · (1 - ½)
        >>> round(pkd(student, torch.tensor([[[[1.0, 0.0, -1.0]]]])).item(), 4)
        0.3333
    """
    share = student.new_ones(()) if valid is None else valid.to(student.dtype)
    n = share.expand(len(student), 1, *student.shape[-2:]).sum().clamp(min=1)
    difference = _standardised(student, share, n) - _standardised(teacher.detach(), share, n)
    return 0.5 * difference.square().sum() / (n * student.shape[1])


def _standardised(maps: Tensor, share: Tensor, n: Tensor) -> Tensor:
    mean = (maps * share).sum(dim=(0, 2, 3), keepdim=True) / n
    centred = (maps - mean) * share
    variance = centred.square().sum(dim=(0, 2, 3), keepdim=True) / (n - 1).clamp(min=1)
    return centred / (variance.clamp(min=_TINY).sqrt() + 1e-6)


class PKD(nn.Module):
    """:func:`pkd` on features, summed over them; a 1x1 convolution where channels differ.

    Args:
        student_channels: channels of the student's features: one number, or one a feature.
        teacher_channels: channels of the teacher's features, the same.
        features: names of the features, such as the levels of a pyramid.
        resized: whose features go to the size of the other's: ``student`` or ``teacher``.
        ignore_index: label of pixels that are left out; None keeps them, as published code does.
    """

    weights: ClassVar[dict[str, float]] = {"pkd": 6.0}

    def __init__(
        self,
        student_channels: int | Sequence[int],
        teacher_channels: int | Sequence[int],
        features: Sequence[str] = ("head",),
        resized: Literal["student", "teacher"] = "student",
        ignore_index: int | None = 255,
    ) -> None:
        super().__init__()
        ours = each_level(student_channels, features)
        theirs = each_level(teacher_channels, features)
        self.adapters = nn.ModuleList(map(channel_adapter, ours, theirs))
        self.features, self.resized = tuple(features), resized
        self.ignore_index = ignore_index

    def forward(self, student: Any, teacher: Any, target: Any) -> dict[str, Tensor]:
        """Outputs of both networks and what the images show -> the term ``pkd``."""
        given = self.features, self.ignore_index, self.resized
        levels = level_maps(student, teacher, target, *given)
        terms = [
            pkd(adapter(maps), theirs, valid)
            for adapter, (maps, theirs, valid) in zip(self.adapters, levels, strict=True)
        ]
        return {"pkd": torch.stack(terms).sum()}
