"""The task of a data set, as a recipe wants it measured."""

from __future__ import annotations

from typing import Any

from torch import nn

from bpkd.datasets.transforms import PADDING
from bpkd.errors import UserError
from bpkd.inference.windows import build_inference
from bpkd.losses.task import TaskLoss
from bpkd.metrics.instances import InstanceMeasures
from bpkd.metrics.measures import Measures
from bpkd.networks.solov2.predictions import PostProcessing
from bpkd.networks.solov2.targets import FULL
from bpkd.recipe.instance import InstanceRecipe
from bpkd.recipe.schema import Recipe
from bpkd.tasks import Task
from bpkd.tasks.instance import Instance
from bpkd.tasks.semantic import Semantic


def build_task(
    recipe: Recipe,
    data: Any,
    class_weights: tuple[float, ...] | None = None,
    student: nn.Module | None = None,
) -> Task:
    """What a data set's targets are, how a student learns from them and how it is measured.

    Args:
        recipe: all of it.
        data: the data set.
        class_weights: in the student's own loss, one a class; None: 1 each.
        student: that is to learn; None: nothing is.

    Raises:
        UserError: the data set names a task that there is not, or one that its class does not.
    """
    name = getattr(data, "task", "semantic")
    if name not in ("semantic", "instance"):
        raise UserError(
            f"data.use: {recipe.data.use} is for {name!r}; known tasks: semantic, instance"
        )
    if (name == "instance") != isinstance(recipe, InstanceRecipe):
        raise UserError(
            f"data.use: {recipe.data.use} gives a data set for {name!r} and does not say so "
            f"itself; give the class or function an attribute task = {name!r}"
        )
    if isinstance(recipe, InstanceRecipe):
        return instance_task(recipe, len(data.classes), student)
    evaluation = recipe.evaluation
    measures = Measures(
        len(data.classes), evaluation.trimap_widths, evaluation.dilation_ratio, data.ignore_index
    )
    logits = build_inference(evaluation)
    given = recipe.task_loss
    hard = None if given.ohem is None else (given.ohem.threshold, given.ohem.min_kept)
    loss = TaskLoss(class_weights, given.label_smoothing, hard, given.dice, given.lovasz)
    return Semantic(measures, logits, data.ignore_index, recipe.auxiliary_weight, loss)


def instance_task(
    recipe: InstanceRecipe, classes: int, student: nn.Module | None = None
) -> Instance:
    """Instances, to be learnt by a student that knows its levels and its images' mean."""
    given = recipe.evaluation
    measures = InstanceMeasures(
        classes, given.max_per_image, given.size_limits, given.boundary, given.dilation_ratio
    )
    settings = PostProcessing(
        given.score_threshold,
        given.mask_threshold,
        given.filter_threshold,
        given.nms_pre,
        given.max_per_image,
        given.kernel,
        given.sigma,
    )
    mean: Any = getattr(student, "mean", None)
    padding = PADDING if mean is None else mean.flatten().tolist()
    ranges: Any = getattr(student, "scale_ranges", FULL)
    return Instance(measures, given.size, settings, ranges, padding, given.antialias)
