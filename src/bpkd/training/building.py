"""Everything that a recipe names, built in one place before the run begins."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from bpkd.datasets.building import build_data
from bpkd.datasets.unlabelled import with_unlabelled
from bpkd.errors import UserError
from bpkd.inference.tasks import build_task
from bpkd.networks.building import build_network
from bpkd.networks.fake_quantization import fake_quantized
from bpkd.recipe.schema import Recipe
from bpkd.support.seeds import seeded
from bpkd.training.class_weights import check_own_loss, class_weights
from bpkd.training.distiller import Distiller
from bpkd.training.losses import build_losses
from bpkd.training.optimization import optimization
from bpkd.training.teachers import build_teacher
from bpkd.training.unlabelled import check_unlabelled


@dataclass(frozen=True)
class Parts:
    """What a run is made of.

    Attributes:
        data: the data set to train on.
        val: the one to validate on, or None.
        distiller: student, teacher, losses and task.
        drawn: what is drawn from: the data, or they and images without labels.
        class_weights: in the student's own loss, or None.
    """

    data: Any
    val: Any
    distiller: Distiller
    drawn: Any
    class_weights: tuple[float, ...] | None = None


def build(recipe: Recipe, begun: Path | None = None) -> Parts:
    """All parts of a recipe's run.

    Args:
        recipe: all of it.
        begun: the folder of a run that goes on.

    Raises:
        UserError: something that the recipe names cannot be built; names the key.
    """
    data = build_data(recipe, "train")
    val = build_data(recipe, "val") if recipe.data.val else None
    if val is not None and list(val.classes) != list(data.classes):
        # Files may say which classes there are, and each split has its own.
        raise UserError(
            f"data: the split {recipe.data.val!r} has other classes than {recipe.data.train!r}, "
            f"{len(val.classes)} and {len(data.classes)}: name those that count in data.classes"
        )
    check_own_loss(recipe, data)
    weights = class_weights(recipe, data, begun)
    drawn = with_unlabelled(data, recipe.data.unlabelled)
    distiller = build_distiller(recipe, data, weights)
    distiller.unlabelled = drawn is not data
    distiller.log_pulls = recipe.log_pulls
    if distiller.unlabelled:
        check_unlabelled(recipe, data, distiller.losses)
    return Parts(data, val, distiller, drawn, weights)


def build_distiller(
    recipe: Recipe, data: Any, class_weights: tuple[float, ...] | None = None
) -> Distiller:
    """Student, teacher and losses of a recipe, ready to train on a data set."""
    student = build_student(recipe, len(data.classes))
    teacher = build_teacher(recipe, data.classes)
    task = build_task(recipe, data, class_weights, student)
    losses, weighted = build_losses(recipe, student, teacher, len(data.classes), task.name)
    return Distiller(
        student.to(memory_format=torch.channels_last),  # type: ignore[call-overload]
        teacher,
        losses,
        weighted,
        optimization(recipe),
        task,
        recipe.seed,
    )


def build_student(recipe: Recipe, num_classes: int) -> nn.Module:
    """The student; the same initial weights whatever else the recipe holds.

    Raises:
        UserError: the network can only teach.
    """
    with seeded(recipe.seed):
        student = build_network(recipe.student, num_classes, "student", recipe.augment.crop)
    if getattr(student, "teacher_only", False):
        raise UserError(f"student.use: {recipe.student.use} cannot be trained; use it as teacher")
    return fake_quantized(student) if recipe.quantize else student
