"""Whatever segments: a run or a network's file, with all that measuring it needs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from bpkd.datasets.classes_file import read_classes
from bpkd.datasets.images import MAX_PIXELS, Reading
from bpkd.errors import UserError
from bpkd.networks.files.described import Description, beside, read_beside
from bpkd.networks.files.reading import read_network
from bpkd.recipe.dotted import resolve
from bpkd.recipe.loading import load_recipe, recipe_in
from bpkd.recipe.schema import Recipe
from bpkd.recipe.sections import Data
from bpkd.runs.data import as_measured, measured_range
from bpkd.runs.loading import load
from bpkd.support.formats import is_network_file


@dataclass
class Predictor:
    """A network, and how its recipe measures it.

    Attributes:
        path: the run's folder, or the file.
        network: images -> SegOutput, in evaluation mode.
        recipe: its data and its evaluation, as they were measured in training.
        value_range: black and white of images of more than 8 bits, where training measured it.
        task: what it predicts.
    """

    path: Path
    network: nn.Module
    recipe: Recipe
    value_range: tuple[float, float] | None = None
    task: str = "semantic"

    @property
    def classes(self) -> list[str]:
        """Names of the classes."""
        classes: list[str] = self.network.classes  # type: ignore[assignment]
        return classes

    @property
    def palette(self) -> list[tuple[int, int, int]]:
        """Their colours."""
        palette: list[tuple[int, int, int]] = self.network.palette  # type: ignore[assignment]
        return palette

    @property
    def gives_labels(self) -> bool:
        """Whether there are labels alone, and no logits: a file can be written so."""
        known = getattr(self.network, "description", None)
        return isinstance(known, Description) and known.output == "labels"

    def reading(self, max_pixels: int | None = None) -> Reading:
        """How photos are read: as the data set said, or as it was measured in training."""
        arguments = self.recipe.data.arguments
        given = arguments.get("value_range")
        limit = max_pixels or arguments.get("max_pixels") or MAX_PIXELS
        return Reading(tuple(given) if given else self.value_range, max_pixels=limit)


def predictor(
    source: str | Path, overrides: Sequence[str] = (), checkpoint: str = "student"
) -> Predictor:
    """A run or a network's file, ready to be measured.

    Args:
        source: a run's folder, or a file that ``bpkd export`` wrote.
        overrides: ``key=value``, dotted, of its recipe.
        checkpoint: of a run: ``student``, ``best`` or ``last``.

    Raises:
        UserError: no such thing, or it says nothing of its data.
    """
    path = Path(source)
    if not is_network_file(path):
        network = load(path, checkpoint)
        recipe = load_recipe(path / "recipe.yaml", tuple(overrides))
        as_measured(path, recipe.data)
        return Predictor(path, network, recipe, measured_range(path), task_of(recipe.data))
    network = load(path)
    if checkpoint != "student":
        raise UserError(f"{path} is one checkpoint itself: leave --checkpoint out")
    return Predictor(path, network, recipe_of(path, overrides), _range(path))


def recipe_of(file: Path, overrides: Sequence[str] = ()) -> Recipe:
    """The recipe that the page beside a network's file holds.

    Raises:
        UserError: there is no page, or no recipe in it.
    """
    content = read_beside(file).get("recipe")
    if not isinstance(content, dict):
        raise UserError(
            f"{file}: which data it is for is written in {beside(file)}, and that is not there; "
            "bpkd export writes the two together: keep them so"
        )
    return recipe_in(beside(file), content, overrides)


def _range(file: Path) -> tuple[float, float] | None:
    found: Any = read_beside(file).get("value_range")
    return None if found is None else (float(found[0]), float(found[1]))


def task_of(data: Data) -> str:
    """What a data set's class says that it is for.

    >>> task_of(Data(use="bpkd.datasets.scenes.Scenes"))
    'semantic'
    """
    return str(getattr(resolve(data.use), "task", "semantic"))


def recipe_at(source: Path, overrides: Sequence[str] = ()) -> Recipe:
    """The recipe of a run or a network's file; the network itself is not loaded.

    Raises:
        UserError: no such thing.
    """
    if is_network_file(source):
        return recipe_of(source, overrides)
    if not (source / "recipe.yaml").is_file():
        raise UserError(f"{source}: no run here (no recipe.yaml); give the folder of a run")
    return load_recipe(source / "recipe.yaml", tuple(overrides))


def classes_at(source: Path) -> list[str]:
    """The names of the classes of a run or a network's file, in its own order."""
    if is_network_file(source):
        return read_network(source).classes
    return read_classes(source)[0]


def kept_at(source: Path, split: str) -> Path:
    """Where the numbers on a split are kept: in a run's folder, beside a file.

    Example:
        >>> kept_at(Path("student.onnx"), "test").name
        'student.onnx.evaluation_test.json'
    """
    if is_network_file(source):
        return Path(f"{source}.evaluation_{split}.json")
    return source / f"evaluation_{split}.json"


def megabytes(source: Path) -> float:
    """What a network's file takes on the disk; of a run, its student's."""
    files = [source / "student.safetensors"]
    if is_network_file(source):
        files = [source, source.with_suffix(".bin")] if source.suffix == ".xml" else [source]
    return sum(file.stat().st_size for file in files if file.is_file()) / 1e6


def device_of(network: nn.Module) -> torch.device:
    """Where a network's images have to be; a file's on the CPU."""
    parameter = next(network.parameters(), None)
    return torch.device("cpu") if parameter is None else parameter.device
