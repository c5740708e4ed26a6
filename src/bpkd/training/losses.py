"""The losses of a recipe by name, each with its weights over the iterations."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import Any

import torch
from torch import nn

from bpkd.errors import UserError
from bpkd.recipe.schema import Recipe
from bpkd.recipe.sections import Loss
from bpkd.support.seeds import seeded
from bpkd.training.schedules import Weighted


def build_losses(
    recipe: Recipe,
    student: nn.Module,
    teacher: nn.Module | None,
    num_classes: int,
    task: str = "semantic",
) -> tuple[dict[str, nn.Module], dict[str, Weighted]]:
    """The losses by name, and their weights by the same names.

    A loss that asks for ``num_classes``, ``student_channels`` or ``teacher_channels`` gets them:
    the channels of its ``feature``, or a list of those of its ``features``; ``student_head`` and
    ``teacher_head`` are the networks' heads.

    Raises:
        UserError: a loss cannot be built, or is for another task; names its key.
    """
    losses: dict[str, nn.Module] = {}
    weighted: dict[str, Weighted] = {}
    with seeded(recipe.seed + 1):
        for name, entry in recipe.losses.items():
            given: dict[str, Any] = {}
            if entry.accepts("num_classes"):
                given["num_classes"] = num_classes
            if entry.accepts("student_channels") and teacher is not None:
                key = "features" if entry.accepts("features") else "feature"
                where, feature = f"losses.{name}.{key}", entry.argument(key, "head")
                given["student_channels"] = _channels(student, feature, where, "student")
                given["teacher_channels"] = _channels(teacher, feature, where, "teacher")
            given |= _heads(name, entry, student, teacher)
            given |= _scale_ranges(entry, student, teacher)
            losses[name] = entry.built(f"losses.{name}", **given)
            _check_task(recipe, name, losses[name], task)
            weighted[name] = Weighted(
                _weights(name, entry, losses[name]),
                entry.ramp,
                entry.start,
                recipe.max_iters if entry.until is None else entry.until,
                entry.decay,
            )
    return losses, weighted


def _check_task(recipe: Recipe, name: str, loss: nn.Module, task: str) -> None:
    """Refuse a loss of another task than the data set's."""
    holds = {"semantic": "label maps", "instance": "instances"}
    own = getattr(loss, "task", task)
    if own != task:
        raise UserError(
            f"losses.{name}: {recipe.losses[name].use} learns from {holds[own]}, and "
            f"{recipe.data.use} holds {holds[task]}; bpkd methods lists what fits"
        )


def _heads(
    name: str, entry: Loss, student: nn.Module, teacher: nn.Module | None
) -> dict[str, nn.Module]:
    """The networks' heads, for a loss that lets one go on in the other."""
    found: dict[str, nn.Module] = {}
    for who, network in (("student", student), ("teacher", teacher)):
        if not entry.accepts(f"{who}_head") or network is None:
            continue
        head = getattr(network, "mask_head", None)
        if not isinstance(head, nn.Module):
            raise UserError(
                f"losses.{name}: {entry.use} goes from one SOLOv2 head to another, and the {who} "
                "has none; take bpkd.networks.SOLOv2 or one of its kind"
            )
        found[f"{who}_head"] = head
    return found


def _scale_ranges(entry: Loss, student: nn.Module, teacher: nn.Module | None) -> dict[str, Any]:
    """Which objects each network's levels learn, for a loss that asks and is not told."""
    asked = {"scale_ranges": student, "teacher_scale_ranges": teacher}
    return {
        key: network.scale_ranges  # type: ignore[union-attr]
        for key, network in asked.items()
        if entry.accepts(key) and key not in entry.arguments and hasattr(network, "scale_ranges")
    }


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


def _channels(
    network: nn.Module, feature: str | Sequence[str], where: str, who: str
) -> int | list[int]:
    """Channels of a named feature map, or of several, found by a small forward pass.

    Args:
        network: images -> an output with ``features``.
        feature: name of the feature map, or names.
        where: the recipe's key, for the message.
        who: student or teacher, for the message.
    """
    training = network.training
    device = next(chain(network.parameters(), network.buffers())).device
    with torch.no_grad():
        output = network.eval()(torch.zeros(1, 3, 64, 64, device=device))
    network.train(training)
    for name in [feature] if isinstance(feature, str) else feature:
        if name not in output.features:
            known = ", ".join(output.features)
            raise UserError(
                f"{where}: the {who} has no features named {name!r}; it has: {known or 'none'}"
            )
    if isinstance(feature, str):
        return int(output.features[feature].shape[1])
    return [int(output.features[name].shape[1]) for name in feature]
