"""CWD: each class's map, as a distribution over pixels, follows the teacher's.

Shu et al., Channel-wise Knowledge Distillation for Dense Prediction, ICCV 2021, equation 5.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from bpkd.losses.bases import FeatureLoss, LogitLoss, level_maps
from bpkd.losses.common import Output
from bpkd.losses.divergence import kl_divergence
from bpkd.losses.features import channel_adapter, each_level
from bpkd.networks.base import SegOutput

# Far below any logit, yet finite: its softmax is 0 and differences of it are not nan.
_NOWHERE = -1e4


def cwd(
    student: Tensor, teacher: Tensor, temperature: float = 4.0, valid: Tensor | None = None
) -> Tensor:
    """T² / (N C) Σ_n Σ_c KL(softmax over pixels of teacher / T ‖ the same of student).

    Args:
        student: maps (N, C, h, w).
        teacher: maps of the same shape; no gradient flows to them.
        temperature: T > 0.
        valid: (N, 1, h, w) booleans, the pixels that count; None for all.

    Returns:
        A scalar >= 0.

    Example:
        >>> import torch
        >>> teacher = torch.tensor([0.75, 0.25]).log().view(1, 1, 1, 2)
        >>> student = torch.zeros(1, 1, 1, 2)  # KL = 0.75 log 1.5 + 0.25 log 0.5 = 0.1308
        >>> round(cwd(student, teacher, temperature=1.0).item(), 4)
        0.1308
    """
    n, channels = student.shape[:2]
    if temperature != 1:
        student, teacher = student / temperature, teacher / temperature
    if valid is not None:
        student = student.masked_fill(~valid, _NOWHERE)
        teacher = teacher.masked_fill(~valid, _NOWHERE)
    divergence = kl_divergence(student.flatten(2), teacher.flatten(2), dim=2)
    return temperature**2 / (n * channels) * divergence.sum()


class CWD(LogitLoss):
    """:func:`cwd` on the networks' logits.

    Args:
        temperature: T > 0. CIRKD's recipes use 4 with weight 3, MMRazor's 1 with weight 5.
        ignore_index: label of pixels that are left out; None keeps them, as published code does.
    """

    weights: ClassVar[dict[str, float]] = {"cwd": 3.0}

    def __init__(self, temperature: float = 4.0, ignore_index: int | None = 255) -> None:
        super().__init__(temperature, ignore_index)

    def forward(self, student: Output, teacher: Output, labels: Tensor) -> dict[str, Tensor]:
        """Outputs of both networks and labels (N, H, W) -> the term ``cwd``."""
        logits, target, valid = self.maps(student, teacher, labels)
        return {"cwd": cwd(logits, target, self.temperature, valid)}


class CWDFeatures(FeatureLoss):
    """:func:`cwd` on feature maps, with a learnt 1x1 convolution where their channels differ.

    CIRKD's code divides by the student's channels and not by the teacher's, which are compared:
    its weight 50 is 50 * teacher_channels / student_channels here.

    Args:
        student_channels: channels of the student's features.
        teacher_channels: channels of the teacher's features.
        temperature: T > 0.
        feature: name of the features.
        ignore_index: label of pixels that are left out; None keeps them, as published code does.
    """

    weights: ClassVar[dict[str, float]] = {"cwd_features": 50.0}

    def __init__(
        self,
        student_channels: int,
        teacher_channels: int,
        temperature: float = 4.0,
        feature: str = "head",
        ignore_index: int | None = 255,
    ) -> None:
        super().__init__(feature, ignore_index)
        self.adapter = channel_adapter(student_channels, teacher_channels)
        self.temperature = temperature

    def forward(self, student: SegOutput, teacher: SegOutput, labels: Tensor) -> dict[str, Tensor]:
        """Outputs of both networks and labels (N, H, W) -> the term ``cwd_features``."""
        maps, target, valid = self.maps(student, teacher, labels)
        return {"cwd_features": cwd(self.adapter(maps), target, self.temperature, valid)}


class CWDLevels(nn.Module):
    """:func:`cwd` on each level of a pyramid, added up, with a 1x1 convolution as above.

    As MMRazor's configurations for detectors have it: every level counts as much as any other.

    Args:
        student_channels: channels of the student's features: one number, or one a feature.
        teacher_channels: channels of the teacher's features, the same.
        temperature: T > 0.
        features: names of the features.
        ignore_index: label of pixels that are left out, where the target is labels.
    """

    weights: ClassVar[dict[str, float]] = {"cwd_levels": 10.0}

    def __init__(
        self,
        student_channels: int | Sequence[int],
        teacher_channels: int | Sequence[int],
        temperature: float = 1.0,
        features: Sequence[str] = ("p2", "p3", "p4", "p5", "p6"),
        ignore_index: int | None = 255,
    ) -> None:
        super().__init__()
        ours = each_level(student_channels, features)
        theirs = each_level(teacher_channels, features)
        self.adapters = nn.ModuleList(map(channel_adapter, ours, theirs))
        self.temperature, self.features = temperature, tuple(features)
        self.ignore_index = ignore_index

    def forward(self, student: Any, teacher: Any, target: Any) -> dict[str, Tensor]:
        """Outputs of both networks and what the images show -> the term ``cwd_levels``."""
        levels = level_maps(student, teacher, target, self.features, self.ignore_index)
        terms = [
            cwd(adapter(maps), theirs, self.temperature, valid)
            for adapter, (maps, theirs, valid) in zip(self.adapters, levels, strict=True)
        ]
        return {"cwd_levels": torch.stack(terms).sum()}
