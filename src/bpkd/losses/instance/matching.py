"""Which of the student's masks is which of the teacher's.

Two networks of one family share grids and levels, but neither the width of their kernels nor the
basis of their mask features: a mask, ⟨kernel, feature⟩, is the same when features become A F and
kernels A⁻ᵀ G. So what is compared is mask logits, never kernels or mask features.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from bpkd.datasets.instances import Instances
from bpkd.errors import UserError
from bpkd.losses.common import full_precision
from bpkd.networks.base import InstanceOutput, mask_logits, resize
from bpkd.networks.solov2.targets import Assignment, Range, assign_batch, ranges

Match = Literal["cells", "objects"]
#: Sizes of the objects of a network's levels: by a published name, or a pair a level.
Ranges = str | Sequence[Sequence[float]]


class Pairs(NamedTuple):
    """R pairs of masks of one level.

    Attributes:
        student: logits (R, h, w).
        teacher: logits (R, h, w), without gradient.
        objects: (R,) int64, whose mask it is, counted through the images of the batch.
    """

    student: Tensor
    teacher: Tensor
    objects: Tensor


def matched(
    student: InstanceOutput,
    teacher: InstanceOutput,
    targets: Sequence[Instances],
    scale_ranges: Sequence[Range],
    teacher_scale_ranges: Sequence[Range],
    match: Match = "cells",
) -> list[Pairs]:
    """The masks of the student's positive cells, level by level, and the teacher's beside them.

    Args:
        student: output of the student.
        teacher: output of the teacher, on the same images.
        targets: an image each.
        scale_ranges: sizes of the objects of each of the student's levels.
        teacher_scale_ranges: the same of the teacher's.
        match: ``cells``: the teacher's mask of the same cell, of cells that both learn the object
            in; ``objects``: the mean of the logits of all cells that the teacher learns it in.

    Raises:
        UserError: the two have other grids or classes.
    """
    comparable(student, teacher)
    own = assign_batch(targets, student, scale_ranges)
    theirs = assign_batch(targets, teacher, teacher_scale_ranges)
    first = 0
    levels: list[list[Pairs]] = [[] for _ in student.category]
    for image, target in enumerate(targets):
        choose = _Same(teacher, image, theirs[image])
        if match == "objects":
            choose = _Mean(teacher, image, theirs[image])
        for index, level in enumerate(own[image].levels):
            kept, kernels = choose(index, level.cells, level.instances)
            mine = _kernels(student, index, image, level.cells[kept])
            masks = mask_logits(mine, full_precision(student.mask_features[image]))
            levels[index].append(
                Pairs(
                    masks,
                    _teachers(kernels, teacher, image, masks),
                    level.instances[kept] + first,
                )
            )
        first += len(target.labels)
    return [Pairs(*map(torch.cat, zip(*level, strict=True))) for level in levels]


class Matching:
    """:func:`matched` as a loss is told: which masks are compared, and what each level learns.

    Args:
        match: ``cells`` or ``objects``, see :func:`matched`.
        scale_ranges: of the student's levels, ``light``, ``full`` or a pair a level.
        teacher_scale_ranges: of the teacher's levels.
    """

    def __init__(self, match: Match, scale_ranges: Ranges, teacher_scale_ranges: Ranges) -> None:
        self.match: Match = match
        self.ranges = ranges(scale_ranges), ranges(teacher_scale_ranges)

    def __call__(
        self, student: InstanceOutput, teacher: InstanceOutput, targets: Sequence[Instances]
    ) -> list[Pairs]:
        """The pairs of all levels; a level may have none."""
        return matched(student, teacher, targets, *self.ranges, self.match)


def comparable(student: InstanceOutput, teacher: InstanceOutput) -> None:
    """Refuse a teacher of other grids or classes, and networks that find no objects.

    Raises:
        UserError: says which.
    """
    for who, output in (("student", student), ("teacher", teacher)):
        if not isinstance(output, InstanceOutput):
            raise UserError(
                f"the {who} gives {type(output).__name__}; losses of bpkd.losses.instance compare "
                "networks that find objects, such as bpkd.networks.SOLOv2"
            )
    mine, theirs = ([tuple(level.shape) for level in out.category] for out in (student, teacher))
    if mine != theirs:
        raise UserError(
            "student and teacher need the same images, classes and grids; their category logits "
            f"are {', '.join(map(str, mine))} and {', '.join(map(str, theirs))}"
        )


class _Same:
    """The teacher's kernels of the same cells."""

    def __init__(self, teacher: InstanceOutput, image: int, assignment: Assignment) -> None:
        self.teacher, self.image, self.assignment = teacher, image, assignment

    def __call__(self, index: int, cells: Tensor, instances: Tensor) -> tuple[Tensor, Tensor]:
        """A level's rows -> which stay, and the teacher's kernels (R', E) of these."""
        level = self.assignment.levels[index]
        count = len(self.assignment.masks)
        kept = torch.isin(cells * count + instances, level.cells * count + level.instances)
        return kept, _kernels(self.teacher, index, self.image, cells[kept])


class _Mean(_Same):
    """The mean of the teacher's kernels of an object: the mean of its masks' logits."""

    def __init__(self, teacher: InstanceOutput, image: int, assignment: Assignment) -> None:
        super().__init__(teacher, image, assignment)
        self.kernels, self.known = object_kernels(teacher, image, assignment)

    def __call__(self, index: int, cells: Tensor, instances: Tensor) -> tuple[Tensor, Tensor]:
        """A level's rows -> which stay, and the teacher's kernels (R', E) of these."""
        kept = self.known[instances]
        return kept, self.kernels[instances[kept]]


def object_kernels(
    output: InstanceOutput, image: int, assignment: Assignment
) -> tuple[Tensor, Tensor]:
    """The mean kernel (K, E) of each object's cells on all levels, and (K,) whether it has any."""
    rows = [
        _kernels(output, index, image, level.cells) for index, level in enumerate(assignment.levels)
    ]
    owners = torch.cat([level.instances for level in assignment.levels])
    kernels = torch.cat(rows)
    count = len(assignment.masks)
    total = kernels.new_zeros(count, kernels.shape[1]).index_add(0, owners, kernels)
    cells = torch.bincount(owners, minlength=count)
    return total / cells.clamp(min=1)[:, None], cells > 0


def _kernels(output: InstanceOutput, index: int, image: int, cells: Tensor) -> Tensor:
    return full_precision(output.kernels[index][image].flatten(1)[:, cells].T)


def _teachers(kernels: Tensor, teacher: InstanceOutput, image: int, like: Tensor) -> Tensor:
    """The teacher's mask logits at the student's size, without gradient."""
    with torch.no_grad():
        masks = mask_logits(kernels, full_precision(teacher.mask_features[image]))
        return resize(masks[:, None], like.shape[-2:])[:, 0] if len(masks) else like.detach()


def level_mean(values: Sequence[Tensor], like: InstanceOutput) -> Tensor:
    """The mean over levels that have something to compare; 0, with a gradient, where none has."""
    if values:
        return torch.stack(list(values)).mean()
    maps = [like.mask_features, *like.kernels]
    return 0 * torch.stack([full_precision(each).sum() for each in maps]).sum()
