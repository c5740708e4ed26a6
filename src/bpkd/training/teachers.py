"""The teacher of a recipe: a run, or any network, its classes mapped to the data set's."""

from __future__ import annotations

from pathlib import Path

from torch import nn

from bpkd.datasets.classes_file import read_classes
from bpkd.errors import UserError
from bpkd.networks.class_map import aligned
from bpkd.networks.files.reading import read_network
from bpkd.recipe.schema import Recipe
from bpkd.recipe.sections import Teacher
from bpkd.runs.loading import load
from bpkd.support.formats import endings, is_network_file
from bpkd.training.class_maps import build_fitted


def build_teacher(recipe: Recipe, classes: list[str]) -> nn.Module | None:
    """The teacher, from a run's folder or as the recipe describes it.

    Raises:
        UserError: it has other classes than the data set, and no class_map; or its classifier
            is not trained.
    """
    if recipe.teacher is None:
        return None
    if isinstance(recipe.teacher, Teacher):
        return build_fitted(recipe.teacher, classes, "teacher")
    folder = Path(recipe.teacher)
    if is_network_file(folder):
        return _of_file(folder, classes)
    if not (folder / "recipe.yaml").is_file():
        what = "a file" if folder.is_file() else "no run"
        raise UserError(
            f"teacher: {folder} is {what}; expected the folder of a run, a network "
            f"({{use: NETWORK, checkpoint: FILE}}), or a file of one ({endings()})"
        )
    own = read_classes(folder)[0]
    if len(own) != len(classes):
        raise UserError(
            f"the teacher {recipe.teacher} has {len(own)} classes and the data set "
            f"{len(classes)}; say which is which: teacher: {{use: bpkd.runs.loading.from_run, run: "
            f"{recipe.teacher}, class_map: ...}}"
        )
    try:
        return aligned(load(recipe.teacher), classes, own, f"the teacher {recipe.teacher}")
    except UserError as error:
        if "class_map" not in str(error):
            raise
        raise UserError(
            f"{error}; a run is described so: teacher: {{use: bpkd.runs.loading.from_run, run: "
            f"{recipe.teacher}, class_map: ...}}"
        ) from error


def _of_file(file: Path, classes: list[str]) -> nn.Module:
    """A network's file as teacher: it has logits, and no features."""
    network = read_network(file)
    if network.description.output == "labels":
        raise UserError(
            f"teacher: {file} gives labels, and a teacher needs logits: export it without --argmax"
        )
    if len(network.classes) != len(classes):
        raise UserError(
            f"teacher: {file} has {len(network.classes)} classes and the data set {len(classes)}; "
            f"say which is which: teacher: {{use: bpkd.networks.foreign.from_file, path: {file}, "
            "class_map: ...}"
        )
    return aligned(network, classes, network.classes, f"the teacher {file}")
