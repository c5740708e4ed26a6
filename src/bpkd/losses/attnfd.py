"""AttnFD: features, refined by attention over channels and places, point the teacher's way.

Mansourian et al., Attention-guided Feature Distillation for Semantic Segmentation, arXiv 2024.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bpkd.losses.attention import CBAM, cbam_free
from bpkd.losses.bases import level_maps
from bpkd.losses.features import each_level, zeroed


def attnfd(student: Tensor, teacher: Tensor) -> Tensor:
    """1 / N ‖student / ‖student‖ - teacher / ‖teacher‖‖²: the norms run over the whole batch.

    So a stage gives at most 4 / N.

    Args:
        student: refined features (N, D, h, w).
        teacher: the same; no gradient flows to them.

    Returns:
        A scalar >= 0.

    Example:
        >>> student = torch.tensor([3.0, 4.0]).view(1, 2, 1, 1)
        >>> round(attnfd(student, student.flip(1)).item(), 4)  # 2 (0.6 - 0.8)²
        0.08
    """
    ours = F.normalize(student.flatten(), dim=0)
    theirs = F.normalize(teacher.detach().flatten(), dim=0)
    return (ours - theirs).square().sum() / len(student)


class AttnFD(nn.Module):
    """:func:`attnfd` of features refined by CBAM, summed over the features.

    The student's attention and the connectors (1x1 convolution and batch norm, to the teacher's
    channels) are trained with the student; ignored pixels are 0 in all of them.

    Args:
        student_channels: channels of the student's features: one number, or one a feature.
        teacher_channels: channels of the teacher's features, the same.
        features: names of the features; the authors take the backbone's end, the ASPP's and the
            decoder's.
        teacher_attention: ``free``, without layers, or ``learned``: with layers, whose random
            initial values nothing trains.
        ignore_index: label of pixels that are left out; None keeps them, as published code does.
    """

    weights: ClassVar[dict[str, float]] = {"attnfd": 2.0}

    def __init__(
        self,
        student_channels: int | Sequence[int],
        teacher_channels: int | Sequence[int],
        features: Sequence[str] = ("head",),
        teacher_attention: Literal["free", "learned"] = "free",
        ignore_index: int | None = 255,
    ) -> None:
        super().__init__()
        ours = each_level(student_channels, features)
        theirs = each_level(teacher_channels, features)
        self.attention = nn.ModuleList(map(CBAM, ours))
        self.connectors = nn.ModuleList(
            nn.Sequential(nn.Conv2d(a, b, kernel_size=1, bias=False), nn.BatchNorm2d(b))
            for a, b in zip(ours, theirs, strict=True)
        )
        self.teacher_attention = nn.ModuleList()
        if teacher_attention == "learned":
            self.teacher_attention.extend(CBAM(b).requires_grad_(False) for b in theirs)
        self.features = tuple(features)
        self.ignore_index = ignore_index

    def forward(self, student: Any, teacher: Any, target: Any) -> dict[str, Tensor]:
        """Outputs of both networks and what the images show -> the term ``attnfd``."""
        terms = []
        levels = level_maps(student, teacher, target, self.features, self.ignore_index)
        for level, (maps, theirs, valid) in enumerate(levels):
            refine: Callable[[Tensor], Tensor] = cbam_free
            if self.teacher_attention:
                refine = self.teacher_attention[level]
            refined = refine(zeroed(theirs, valid))
            made = self.connectors[level](self.attention[level](zeroed(maps, valid)))
            terms.append(attnfd(zeroed(made, valid), zeroed(refined, valid)))
        return {"attnfd": torch.stack(terms).sum()}
