"""The paper's figures, of any runs: one module a figure."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bpkd.errors import UserError
from bpkd.recipe.instance import InstanceRecipe
from bpkd.recipe.schema import Recipe


def check_label_maps(data: Any) -> None:
    """Refuse a data set whose targets are no label maps: these figures are of outlines of classes.

    Raises:
        UserError: names its task.
    """
    task = getattr(data, "task", "semantic")
    if task != "semantic":
        raise UserError(f"the data set is for the task {task!r}; this figure is of label maps")


def check_not_instances(recipes: Mapping[Path, Recipe]) -> None:
    """Refuse runs on instances, before anything is measured.

    Raises:
        UserError: names one, and what there is instead.
    """
    for run, recipe in recipes.items():
        if isinstance(recipe, InstanceRecipe):
            raise UserError(
                f"{run} finds instances, which have no trimap IoU: bpkd report {run} has their AP "
                "by class and size, bpkd figure grid their images"
            )
