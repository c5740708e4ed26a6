"""KD for instances: each cell's classes and each object's mask follow the teacher's probabilities.

Hinton et al., Distilling the Knowledge in a Neural Network, arXiv 2015; there for one softmax an
image, here for the independent sigmoids of grids and masks.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from torch import Tensor, nn

from bpkd.datasets.instances import Instances
from bpkd.losses.common import full_precision
from bpkd.losses.divergence import bernoulli_kl
from bpkd.losses.instance.matching import Match, Matching, Ranges, comparable, level_mean
from bpkd.networks.base import InstanceOutput


def category_kd(
    student: Sequence[Tensor], teacher: Sequence[Tensor], temperature: float = 1.0
) -> Tensor:
    """T² Σ KL(sigmoid(teacher / T) ‖ sigmoid(student / T)) / (1 + Σ sigmoid(teacher)).

    Both sums run over levels, images, classes and cells. The divisor is the number of cells that
    the teacher expects to hold an object, as the student's own loss divides by the true number: a
    mean over all of them would mostly count cells where nobody sees anything.

    Args:
        student: logits (N, C, S, S) a level.
        teacher: the same; no gradient flows to them.
        temperature: T > 0.

    Example:
        >>> import torch
        >>> teacher = [torch.tensor(3.0).log().view(1, 1, 1, 1)]  # 0.75: a KL of 0.1308 from 0.5
        >>> round(category_kd([torch.zeros(1, 1, 1, 1)], teacher).item(), 4)  # 0.1308 / 1.75
        0.0747
    """
    total = student[0].new_zeros(())
    expected = total.detach().clone()
    for mine, theirs in zip(student, teacher, strict=True):
        total = total + bernoulli_kl(mine / temperature, theirs / temperature).sum()
        expected += theirs.detach().sigmoid().sum()
    return temperature**2 * total / (1 + expected)


class InstanceKD(nn.Module):
    """:func:`category_kd` on the grids, and the mean divergence over masks' pixels.

    The masks are compared at the cells that both networks learn an object in; each level's mean is
    averaged over the levels. With the weights each term pulls about half as hard as the
    student's own loss (docs/instances.md has the measurement); they are not tuned beyond that.

    Args:
        temperature: T > 0, of both terms.
        match: ``cells`` or ``objects``, which of the teacher's masks is an object's.
        scale_ranges: sizes of the objects of the student's levels, ``light``, ``full`` or a pair
            a level.
        teacher_scale_ranges: the same of the teacher's levels.
    """

    weights: ClassVar[dict[str, float]] = {"category": 0.5, "mask": 0.75}
    task: ClassVar[str] = "instance"

    def __init__(
        self,
        temperature: float = 1.0,
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
        """Outputs of both networks and a batch's instances -> ``category`` and ``mask``."""
        comparable(student, teacher)
        mine, theirs = (
            [full_precision(each) for each in out.category] for out in (student, teacher)
        )
        t = self.temperature
        masks = [
            t**2 * bernoulli_kl(level.student / t, level.teacher / t).mean()
            for level in self.matching(student, teacher, targets)
            if len(level.objects)
        ]
        return {"category": category_kd(mine, theirs, t), "mask": level_mean(masks, student)}
