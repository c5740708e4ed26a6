"""The teacher of a recipe: a run, or any network, its classes mapped to the data set's."""

from __future__ import annotations

from pathlib import Path

from torch import nn

from bpkd.errors import UserError
from bpkd.networks.building import build_network
from bpkd.networks.class_map import ClassMapped, groups
from bpkd.recipe.schema import Recipe
from bpkd.recipe.sections import Teacher
from bpkd.runs.classes import read_classes
from bpkd.runs.loading import load


def build_teacher(recipe: Recipe, classes: list[str]) -> nn.Module | None:
    """The teacher, from a run's folder or as the recipe describes it.

    Raises:
        UserError: it has other classes than the data set, and no class_map; or its classifier
            is not trained.
    """
    if recipe.teacher is None:
        return None
    if isinstance(recipe.teacher, Teacher):
        return _described_teacher(recipe.teacher, classes)
    folder = Path(recipe.teacher)
    if not (folder / "recipe.yaml").is_file():
        what = "a file" if folder.is_file() else "no run"
        raise UserError(
            f"teacher: {folder} is {what}; expected the folder of a run, or a network: "
            "{use: NETWORK, checkpoint: FILE}"
        )
    theirs = read_classes(folder)[0]
    if len(theirs) != len(classes):
        raise UserError(
            f"the teacher {recipe.teacher} has {len(theirs)} classes and the data set "
            f"{len(classes)}; say which is which: teacher: {{use: bpkd.runs.loading.from_run, run: "
            f"{recipe.teacher}, class_map: ...}}"
        )
    return load(recipe.teacher)


def _described_teacher(teacher: Teacher, classes: list[str]) -> nn.Module:
    """A teacher as the recipe describes it, its classes mapped to the data set's."""
    own, ours = teacher.num_classes, len(classes)
    if teacher.class_map is None and own not in (None, ours):
        raise UserError(
            f"teacher.num_classes is {own} and the data set has {ours} classes; say which is "
            "which in teacher.class_map"
        )
    if teacher.class_map is not None and own is None and not teacher.knows_its_classes():
        raise UserError(
            f"teacher.num_classes is missing: how many classes {teacher.use} has itself; "
            "class_map needs it"
        )
    built = build_network(teacher, ours if teacher.class_map is None else own, "teacher")
    untrained = getattr(built, "untrained", [])
    if untrained and teacher.checkpoint is None:
        raise UserError(
            f"teacher: {getattr(built, 'source', teacher.use)} has no trained classifier for "
            f"{getattr(built, 'num_classes', ours)} classes ({untrained[0]}); give checkpoint, "
            "or class_map for a teacher with other classes"
        )
    if teacher.class_map is None:
        return built
    names = getattr(built, "classes", None)
    mapped = groups(teacher.class_map, classes, names, getattr(built, "num_classes", own))
    return ClassMapped(built, mapped)
