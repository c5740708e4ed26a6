"""CrossKD for instances: the student's category branch, half way, goes on in the teacher's.

Wang et al., CrossKD: Cross-Head Knowledge Distillation for Object Detection, CVPR 2024; there in
heads of boxes, here in SOLOv2's category branch. It has no box head, and kernels of two networks
have no common basis, so classes are all that crosses over.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from bpkd.datasets.instances import Instances
from bpkd.errors import UserError
from bpkd.losses.common import full_precision
from bpkd.losses.crosskd import align_scale, crosskd
from bpkd.losses.instance.matching import comparable
from bpkd.networks.base import InstanceOutput
from bpkd.networks.solov2.head import SOLOv2Head, category_inputs


class InstanceCrossKD(nn.Module):
    """:func:`bpkd.losses.crosskd.crosskd` of category grids that the teacher's last layers make.

    The student's maps are those after the norm of a convolution of its branch, before the ReLU, at
    the mean and deviation of the teacher's maps; a 1x1 convolution comes first where their
    channels differ. The sum over all levels is divided by 1 and the number of cells in which the
    teacher expects an object. A student that equals its teacher is at 0 but for the 1e-6 of
    :func:`~bpkd.losses.crosskd.align_scale`. The weight is the authors' for boxes.

    Args:
        student_head: of the student.
        teacher_head: of the teacher; its layers are copied, and stay as they are.
        rest: convolutions of the teacher's branch that the student's maps go through; the student's
            maps come from as far before its own end, at the earliest after its first.
        beta: β > 0.

    Raises:
        UserError: ``rest`` leaves nothing of the teacher's branch, or the grids differ.
    """

    weights: ClassVar[dict[str, float]] = {"crosskd": 1.0}
    task: ClassVar[str] = "instance"
    features: ClassVar[tuple[str, ...]] = ("p2", "p3", "p4", "p5", "p6")
    student_head: SOLOv2Head

    def __init__(
        self,
        student_head: SOLOv2Head,
        teacher_head: SOLOv2Head,
        rest: int = 1,
        beta: float = 1.0,
    ) -> None:
        super().__init__()
        own, theirs = len(student_head.cls_convs), len(teacher_head.cls_convs)
        if not 0 <= rest < theirs:
            raise UserError(
                f"InstanceCrossKD: rest is {rest}; the teacher's branch has {theirs} convolutions, "
                f"so expected 0 to {theirs - 1}"
            )
        self.beta, self.before = beta, max(1, own - rest)
        # Past nn.Module's own bookkeeping: it is the student's, and trained with it.
        self.__dict__["student_head"] = student_head
        convs = list(copy.deepcopy(teacher_head.cls_convs))
        self.begin = nn.ModuleList(convs[: theirs - rest]).requires_grad_(False)
        self.rest = nn.ModuleList(convs[theirs - rest :]).requires_grad_(False)
        self.scores = copy.deepcopy(teacher_head.conv_cls).requires_grad_(False)
        channels = [_width(head.cls_convs) for head in (student_head, teacher_head)]
        self.adapter: nn.Module = nn.Identity()
        if channels[0] != channels[1]:
            self.adapter = nn.Conv2d(channels[0], channels[1], kernel_size=1)

    def forward(
        self, student: InstanceOutput, teacher: InstanceOutput, targets: Sequence[Instances]
    ) -> dict[str, Tensor]:
        """Outputs of both networks and a batch's instances -> ``crosskd``."""
        comparable(student, teacher)
        grids = [level.shape[-1] for level in teacher.category]
        mine, theirs = (
            category_inputs([full_precision(out.features[name]) for name in self.features], grids)
            for out in (student, teacher)
        )
        rows, wanted = [], []
        for own, taught, target in zip(mine, theirs, teacher.category, strict=True):
            maps = self.adapter(_normed(self.student_head.cls_convs[: self.before], own))
            with torch.no_grad():
                like = _normed(self.begin, taught)
            crossed = align_scale(maps, like).relu()
            for conv in self.rest:
                crossed = conv(crossed)
            rows.append(_rows(self.scores(crossed)))
            wanted.append(_rows(full_precision(target).detach()))
        every = torch.cat(wanted)
        positives = 1 + every.sigmoid().sum()
        return {"crosskd": crosskd(torch.cat(rows), every, positives=positives, beta=self.beta)}


def _normed(convs: Any, maps: Tensor) -> Tensor:
    """Maps through convolutions with norm and ReLU, without the last ReLU."""
    *first, last = convs
    for conv in first:
        maps = conv(maps)
    normed: Tensor = last.gn(last.conv(maps))
    return normed


def _rows(logits: Tensor) -> Tensor:
    """(N, C, S, S) -> a row a cell."""
    return logits.movedim(1, -1).flatten(0, 2)


def _width(convs: Any) -> int:
    return int(convs[-1].conv.out_channels)
