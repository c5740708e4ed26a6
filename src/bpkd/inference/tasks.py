"""The task of a data set, as a recipe wants it measured."""

from __future__ import annotations

from typing import Any

from bpkd.errors import UserError
from bpkd.inference.windows import build_inference
from bpkd.losses.task import TaskLoss
from bpkd.metrics.measures import Measures
from bpkd.recipe.schema import Recipe
from bpkd.tasks import Task
from bpkd.tasks.semantic import Semantic


def build_task(recipe: Recipe, data: Any, class_weights: tuple[float, ...] | None = None) -> Task:
    """What a data set's targets are, how a student learns from them and how it is measured.

    Args:
        recipe: all of it.
        data: the data set.
        class_weights: in the student's own loss, one a class; None: 1 each.

    Raises:
        UserError: the data set names a task that there is not.
    """
    name = getattr(data, "task", "semantic")
    if name != "semantic":
        raise UserError(f"data.use: {recipe.data.use} is for {name!r}; known tasks: semantic")
    evaluation = recipe.evaluation
    measures = Measures(
        len(data.classes), evaluation.trimap_widths, evaluation.dilation_ratio, data.ignore_index
    )
    logits = build_inference(evaluation)
    given = recipe.task_loss
    hard = None if given.ohem is None else (given.ohem.threshold, given.ohem.min_kept)
    loss = TaskLoss(class_weights, given.label_smoothing, hard, given.dice, given.lovasz)
    return Semantic(measures, logits, data.ignore_index, recipe.auxiliary_weight, loss)
