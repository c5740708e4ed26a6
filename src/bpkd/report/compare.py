"""Several runs measured on one split: a table, and a picture."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from bpkd.datasets.building import build_data
from bpkd.datasets.classes_file import read_classes
from bpkd.errors import UserError
from bpkd.inference.evaluation import evaluate
from bpkd.inference.tasks import instance_task
from bpkd.inference.windows import build_inference
from bpkd.networks.class_map import aligned
from bpkd.recipe.instance import InstanceRecipe
from bpkd.recipe.loading import load_recipe
from bpkd.recipe.schema import Recipe
from bpkd.recipe.sections import Network
from bpkd.report.figure import comparison
from bpkd.report.instance_figure import instance_comparison
from bpkd.report.table import Row
from bpkd.runs.loading import load


def compare(
    runs: Sequence[str | Path],
    *overrides: str,
    split: str = "test",
    progress: Callable[[Any], Any] = iter,
    say: Callable[[str], Any] = print,
) -> list[Row]:
    """Measure runs on a split, a row each; runs that differ in their seed alone share a row.

    Args:
        runs: folders of runs on one data set.
        overrides: ``key=value``, dotted, for all of them.
        split: train, val or test.
        progress: wraps each loader, e.g. to draw a bar.
        say: told in a line where numbers are kept ones, see :func:`evaluate`.

    Raises:
        UserError: a folder is no run, or the runs have different classes.
    """
    names = names_of(recipes_of(runs))
    rows: dict[str, Row] = {}
    for run, name in names.items():
        row = rows.setdefault(name, Row(name, []))
        row.scores.append(evaluate(run, *overrides, split=split, progress=progress, say=say))
    return list(rows.values())


def recipes_of(runs: Sequence[str | Path], overrides: Sequence[str] = ()) -> dict[Path, Recipe]:
    """The recipe of each run; all have the same classes."""
    recipes = {run: load_recipe(run / "recipe.yaml", tuple(overrides)) for run in map(_run, runs)}
    classes = read_classes(Path(runs[0]))[0]
    for run in recipes:
        if read_classes(run)[0] != classes:
            raise UserError(f"{run} has other classes than {runs[0]}; compare runs on one data set")
    return recipes


def _run(folder: str | Path) -> Path:
    if not (Path(folder) / "recipe.yaml").is_file():
        raise UserError(f"{folder}: no run here (no recipe.yaml); give the folder of a run")
    return Path(folder)


def names_of(recipes: Mapping[Path, Recipe]) -> dict[Path, str]:
    """What each run is called: as its recipe; as its folder where another recipe has that name."""
    first: dict[str, Recipe] = {}
    names = {}
    for run, recipe in recipes.items():
        method = _without_seed(recipe)
        same = first.setdefault(recipe.name, method) == method
        names[run] = recipe.name if same else str(run)
    return names


def _without_seed(recipe: Recipe) -> Recipe:
    """What the runs of one method have in common; each seed may have a teacher of its own."""
    own: dict[str, Any] = {"seed": 0, "run": "", "workers": 0, "devices": "auto", "nodes": 1}
    own |= {"draws": None, "teacher_cache": None, "compile": False}
    if isinstance(recipe.teacher, str):
        own["teacher"] = ""
    return recipe.model_copy(update=own)


def picture(
    runs: Sequence[str | Path],
    file: str | Path,
    *overrides: str,
    split: str = "test",
    index: int | None = None,
) -> None:
    """Write the runs' predictions of one image side by side, the teacher's first.

    Of runs that differ in their seed alone, the first is shown.

    Raises:
        UserError: a folder is no run, the runs have different classes, or there is no such image
            or kind of picture.
    """
    recipes = recipes_of(runs, overrides)
    networks = {}
    teacher = teacher_of(list(recipes.values()))
    first = next(iter(recipes.values()))
    data = build_data(first, split)
    if teacher is not None and teacher.resolve() not in {run.resolve() for run in recipes}:
        own = read_classes(teacher)[0]
        with suppress(UserError):  # one of other classes is not comparable
            networks["teacher"] = aligned(load(teacher), data.classes, own, str(teacher))
    for run, name in names_of(recipes).items():
        if name not in networks:
            networks[name] = aligned(load(run), data.classes, read_classes(run)[0], str(run))
    if isinstance(first, InstanceRecipe):
        task = instance_task(first, len(data.classes))
        instance_comparison(networks, data, Path(file), task, index)
    else:
        comparison(networks, data, Path(file), index, build_inference(first.evaluation))


def teacher_of(recipes: Sequence[Recipe]) -> Path | None:
    """The folder of the first teacher among the recipes that is a run, and still there."""
    for recipe in recipes:
        if recipe.teacher is not None and not isinstance(recipe.teacher, Network):
            folder = Path(recipe.teacher)
            if (folder / "recipe.yaml").is_file():
                return folder
    return None
