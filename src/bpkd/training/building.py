"""From a recipe to data sets, networks and losses."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from itertools import chain
from typing import Any

import torch
from torch import nn

from bpkd.errors import UserError
from bpkd.inference.windows import Inference, averaged, slide, whole
from bpkd.metrics.measures import Measures
from bpkd.networks.base import SegOutput
from bpkd.networks.weights import load_weights
from bpkd.recipe.schema import Recipe
from bpkd.recipe.sections import Evaluation, Loss, Network
from bpkd.training.schedules import Weighted


def build_data(recipe: Recipe, split: str) -> Any:
    """The data set of ``train``, ``val`` or ``test``, or of a split by the data set's own name."""
    own_name = recipe.data.own_name(split)
    data = recipe.data.built("data", split=own_name)
    if len(data) == 0:
        raise UserError(f"the split {own_name!r} of {recipe.data.use} is empty; check its files")
    return data


def build_student(recipe: Recipe, num_classes: int) -> nn.Module:
    """The student; the same initial weights whatever else the recipe holds.

    Raises:
        UserError: the network can only teach.
    """
    with seeded(recipe.seed):
        student = build_network(recipe.student, num_classes, "student")
    if getattr(student, "teacher_only", False):
        raise UserError(f"student.use: {recipe.student.use} cannot be trained; use it as teacher")
    return student


def build_network(network: Network, num_classes: int | None, where: str) -> nn.Module:
    """A network, with its checkpoint loaded where it has one.

    Args:
        network: its entry in a recipe.
        num_classes: C; None for one that knows how many it has.
        where: what messages begin with: student, teacher, or a name of its own.

    Raises:
        UserError: it cannot be built, is no network, or the checkpoint is another's.
    """
    built: object = network.built(where, num_classes=num_classes)
    if not isinstance(built, nn.Module):
        kind = type(built).__name__
        raise UserError(f"{where}: {network.use} gives {kind}, expected a torch.nn.Module")
    if network.checkpoint is not None:
        try:
            load_weights(built, network.checkpoint)
        except UserError as error:
            raise UserError(f"{where}.checkpoint: {error}") from error
    return built


def build_losses(
    recipe: Recipe, student: nn.Module, teacher: nn.Module | None, num_classes: int
) -> tuple[dict[str, nn.Module], dict[str, Weighted]]:
    """The losses by name, and their weights by the same names.

    A loss that asks for ``num_classes``, ``student_channels`` or ``teacher_channels`` gets them.
    """
    losses: dict[str, nn.Module] = {}
    weighted: dict[str, Weighted] = {}
    with seeded(recipe.seed + 1):
        for name, entry in recipe.losses.items():
            given = {"num_classes": num_classes} if entry.accepts("num_classes") else {}
            if entry.accepts("student_channels") and teacher is not None:
                where, feature = f"losses.{name}.feature", entry.argument("feature", "head")
                given["student_channels"] = _channels(student, feature, where, "student")
                given["teacher_channels"] = _channels(teacher, feature, where, "teacher")
            losses[name] = entry.built(f"losses.{name}", **given)
            weighted[name] = Weighted(
                _weights(name, entry, losses[name]),
                entry.ramp,
                entry.start,
                recipe.max_iters if entry.until is None else entry.until,
                entry.decay,
            )
    return losses, weighted


def _weights(name: str, entry: Loss, loss: nn.Module) -> dict[str, float]:
    """A weight for each of a loss's terms: the loss's own, unless the recipe says otherwise."""
    own = getattr(loss, "weights", None)
    if not isinstance(own, dict):
        raise UserError(
            f"losses.{name}: {entry.use} has no weights, so it is no loss of student and teacher; "
            "bpkd methods lists those there are"
        )
    weights: dict[str, float] = dict(own)
    if isinstance(entry.weight, dict):
        for term, value in entry.weight.items():
            if term not in weights:
                raise UserError(
                    f"losses.{name}.weight.{term}: {entry.use} has no such term; "
                    f"it has {', '.join(weights)}"
                )
            weights[term] = value
    elif entry.weight is not None:
        weights = dict.fromkeys(weights, entry.weight)
    return weights


def _channels(network: nn.Module, feature: str, where: str, who: str) -> int:
    """Channels of a named feature map, found by a small forward pass.

    Args:
        network: images -> SegOutput.
        feature: name of the feature map.
        where: the recipe's key, for the message.
        who: student or teacher, for the message.
    """
    training = network.training
    device = next(chain(network.parameters(), network.buffers())).device
    with torch.no_grad():
        output: SegOutput = network.eval()(torch.zeros(1, 3, 64, 64, device=device))
    network.train(training)
    if feature not in output.features:
        known = ", ".join(output.features)
        raise UserError(
            f"{where}: the {who} has no features named {feature!r}; it has: {known or 'none'}"
        )
    return output.features[feature].shape[1]


def build_measures(evaluation: Evaluation, data: Any) -> Measures:
    """The measures for a data set."""
    return Measures(
        len(data.classes), evaluation.trimap_widths, evaluation.dilation_ratio, data.ignore_index
    )


def build_inference(evaluation: Evaluation) -> Inference:
    """Whole images or sliding windows; of the images as they are, or of several views of them."""
    inference: Inference = whole
    if evaluation.mode == "slide":
        inference = partial(slide, window=evaluation.window, stride=evaluation.stride)
    base_size, scales, flip = evaluation.base_size, evaluation.scales, evaluation.flip
    if base_size is None and scales == [1] and not flip:
        return inference
    return partial(averaged, inference=inference, base_size=base_size, scales=scales, flip=flip)


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Random numbers that follow from the seed inside the block, and are untouched after it."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        yield
