"""From a recipe, or a run's folder, to data sets, networks and losses."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import torch
import yaml
from torch import nn

from bpkd.errors import UserError
from bpkd.files import load_into, load_tensors, read_tensors, replacing
from bpkd.inference import Inference, averaged, slide, whole
from bpkd.metrics.measures import Measures
from bpkd.networks.base import SegOutput
from bpkd.networks.weights import load_weights
from bpkd.recipe import Evaluation, Loss, Network, Recipe, load_recipe
from bpkd.weighted import Weighted


def build_data(recipe: Recipe, split: str) -> Any:
    """The data set of ``train``, ``val`` or ``test``, or of a split by the data set's own name."""
    own_name = getattr(recipe.data, split, split) if split in ("train", "val", "test") else split
    if own_name is None:
        raise UserError(f"the recipe {recipe.name!r} has no {split} split: data.{split} is null")
    data = recipe.data.build(split=own_name)
    if len(data) == 0:
        raise UserError(f"the split {own_name!r} of {recipe.data.use} is empty; check its files")
    return data


def build_student(recipe: Recipe, num_classes: int) -> nn.Module:
    """The student; the same initial weights whatever else the recipe holds.

    Raises:
        UserError: the network can only teach.
    """
    with seeded(recipe.seed):
        student = build_network(recipe.student, num_classes)
    if getattr(student, "teacher_only", False):
        raise UserError(f"student.use: {recipe.student.use} cannot be trained; use it as teacher")
    return student


def build_network(network: Network, num_classes: int | None) -> nn.Module:
    """A network, with its checkpoint loaded where it has one.

    Args:
        network: its entry in a recipe.
        num_classes: C; None for one that knows how many it has.
    """
    built: nn.Module = network.build(num_classes=num_classes)
    if network.checkpoint is not None:
        load_weights(built, network.checkpoint)
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
            losses[name] = entry.build(**given)
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
    weights: dict[str, float] = dict(loss.weights)  # type: ignore[arg-type]
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


def load(run: str | Path, checkpoint: str = "student") -> nn.Module:
    """The network that a run trained, ready to use.

    Args:
        run: the run's folder.
        checkpoint: ``student`` (the weights at the end), ``best`` (on val) or ``last``.

    Returns:
        The network in evaluation mode, with ``classes`` and ``palette``.

    Raises:
        UserError: no such run, or no such checkpoint in it.
    """
    folder = Path(run)
    if not (folder / "recipe.yaml").is_file():
        raise UserError(f"{run}: no run here (no recipe.yaml); give the folder of a run")
    recipe = load_recipe(folder / "recipe.yaml")
    classes, palette = read_classes(folder)
    if (folder / "student.yaml").is_file():
        described = yaml.safe_load((folder / "student.yaml").read_text())
        recipe.student = Network.model_validate(described)
    elif recipe.student.accepts("weights"):
        # The backbone's own weights are in the checkpoint: their file need not be there any more.
        recipe.student.__pydantic_extra__["weights"] = None  # type: ignore[index]
    recipe.student.checkpoint = None
    network = build_network(recipe.student, len(classes))
    if checkpoint == "student":
        load_tensors(network, folder / "student.safetensors")
    else:
        file = folder / f"{checkpoint}.ckpt"
        prefix = "student."
        tensors = read_tensors(file)
        load_into(
            network, {k[len(prefix) :]: v for k, v in tensors.items() if k.startswith(prefix)}, file
        )
    network.classes, network.palette = classes, palette  # type: ignore[assignment]
    return network.eval()


def write_student(folder: Path, student: nn.Module) -> None:
    """Keep how to build a student whose recipe names something to download or a file.

    Such a network has ``rebuild``: an entry of a recipe that needs neither.
    """
    if (entry := getattr(student, "rebuild", None)) is not None:
        with replacing(folder / "student.yaml") as file:
            file.write_text(yaml.safe_dump(entry, sort_keys=False))


def write_classes(folder: Path, data: Any) -> None:
    """Classes and colours of a data set as ``classes.csv``, which the folder data set reads too."""
    with replacing(folder / "classes.csv") as file, file.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["name", "r", "g", "b"])
        writer.writerows([name, *rgb] for name, rgb in zip(data.classes, data.palette, strict=True))


def read_classes(folder: Path) -> tuple[list[str], list[tuple[int, int, int]]]:
    """What :func:`write_classes` wrote."""
    file = folder / "classes.csv"
    if not file.is_file():
        raise UserError(f"{folder}: no run here (no classes.csv); give the folder of a run")
    with file.open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    names = [row["name"] for row in rows]
    return names, [(int(row["r"]), int(row["g"]), int(row["b"])) for row in rows]


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Random numbers that follow from the seed inside the block, and are untouched after it."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        yield
