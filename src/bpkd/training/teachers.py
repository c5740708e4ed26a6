"""The teacher of a recipe: a run, or any network, its classes mapped to the data set's."""

from __future__ import annotations

from pathlib import Path

from torch import nn

from bpkd.datasets.classes_file import read_classes
from bpkd.errors import UserError
from bpkd.networks.class_map import aligned
from bpkd.recipe.schema import Recipe
from bpkd.recipe.sections import Teacher
from bpkd.runs.loading import load
from bpkd.training.fitting import build_fitted


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
    if not (folder / "recipe.yaml").is_file():
        what = "a file" if folder.is_file() else "no run"
        raise UserError(
            f"teacher: {folder} is {what}; expected the folder of a run, or a network: "
            "{use: NETWORK, checkpoint: FILE}"
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
