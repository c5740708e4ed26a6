"""CWD for instances: grids of classes and masks of objects as distributions over their pixels.

Shu et al., Channel-wise Knowledge Distillation for Dense Prediction, ICCV 2021, equation 5; the
grids and masks of SOLOv2 are the channels.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn

from bpkd.datasets.instances import Instances
from bpkd.losses.common import full_precision
from bpkd.losses.cwd import cwd
from bpkd.losses.instance.matching import Match, Matching, Ranges, comparable, level_mean
from bpkd.networks.base import InstanceOutput


class InstanceCWD(nn.Module):
    """:func:`bpkd.losses.cwd.cwd` on category grids and mask logits, each the mean over levels.

    The temperature is that of semantic segmentation. Its weight would pull forty times as hard on
    masks as the student's own loss does. With the weights here each term pulls about half as hard
    (docs/instances.md has the measurement). Of the pyramid, on which CWD for detectors works, the
    paper's text says nothing.

    Args:
        temperature: T > 0, of all terms.
        match: ``cells`` or ``objects``, which of the teacher's masks is an object's.
        scale_ranges: sizes of the objects of the student's levels, ``light``, ``full`` or a pair
            a level.
        teacher_scale_ranges: the same of the teacher's levels.
    """

    weights: ClassVar[dict[str, float]] = {"category": 2.0, "mask": 0.04}
    task: ClassVar[str] = "instance"

    def __init__(
        self,
        temperature: float = 4.0,
        match: Match = "cells",
        scale_ranges: Ranges = "light",
        teacher_scale_ranges: Ranges = "full",
    ) -> None:
        super().__init__()
        self.temperature = temperature
        self.matching = Matching(match, scale_ranges, teacher_scale_ranges)

    def forward(
        self, student: InstanceOutput, teacher: InstanceOutput, targets: Sequence[Instances]
    ) -> dict[str, Tensor]:
        """Outputs of both networks and a batch's instances -> ``category`` and ``mask``.

        A mask is a channel of its own: the sum is divided by the number of masks.
        """
        comparable(student, teacher)
        grids = [
            cwd(full_precision(mine), full_precision(theirs), self.temperature)
            for mine, theirs in zip(student.category, teacher.category, strict=True)
        ]
        masks = [
            cwd(level.student[None], level.teacher[None], self.temperature)
            for level in self.matching(student, teacher, targets)
            if len(level.objects)
        ]
        return {"category": torch.stack(grids).mean(), "mask": level_mean(masks, student)}
