"""Several runs measured on one split: a table, and a picture."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from torch import nn

from bpkd.datasets.building import build_data
from bpkd.datasets.classes_file import read_classes
from bpkd.datasets.transforms import to_float
from bpkd.errors import UserError
from bpkd.inference.evaluation import evaluate
from bpkd.inference.predictor import classes_at, megabytes, recipe_at
from bpkd.inference.tasks import instance_task
from bpkd.inference.timing import milliseconds
from bpkd.inference.windows import build_inference
from bpkd.networks.class_map import aligned
from bpkd.recipe.instance import InstanceRecipe
from bpkd.recipe.schema import Recipe
from bpkd.recipe.sections import Network
from bpkd.report.figure import comparison
from bpkd.report.instance_figure import instance_comparison
from bpkd.report.table import Row
from bpkd.runs.loading import load
from bpkd.support.formats import is_network_file


def compare(
    runs: Sequence[str | Path],
    *overrides: str,
    split: str = "test",
    progress: Callable[[Any], Any] = iter,
    say: Callable[[str], Any] = print,
) -> list[Row]:
    """Measure runs on a split, a row each; runs that differ in their seed alone share a row.

    Args:
        runs: folders of runs on one data set, and files that ``bpkd export`` wrote. Where there is
            a file, each row has the size on the disk and the time on one thread, too.
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
        found = evaluate(run, *overrides, split=split, progress=progress, say=say)
        row.scores.append(dict(found))
    if any(map(is_network_file, names)):
        data = build_data(recipe_at(Path(runs[0]), overrides), split)
        image = to_float(data[0][0])[None]
        done = Counter[str]()
        for run, name in names.items():
            scores = rows[name].scores[done[name]]
            scores["megabytes"] = megabytes(run)
            scores["milliseconds_1"] = milliseconds(run, image, threads=1)
            done[name] += 1
    return list(rows.values())


def recipes_of(runs: Sequence[str | Path], overrides: Sequence[str] = ()) -> dict[Path, Recipe]:
    """The recipe of each run; all have the same classes."""
    recipes = {run: recipe_at(run, overrides) for run in map(Path, runs)}
    classes = classes_at(Path(runs[0]))
    for run in recipes:
        if classes_at(run) != classes:
            raise UserError(f"{run} has other classes than {runs[0]}; compare runs on one data set")
    return recipes


def names_of(recipes: Mapping[Path, Recipe]) -> dict[Path, str]:
    """What each run is called: as its recipe; as its folder where another recipe has that name."""
    first: dict[str, Recipe] = {}
    names = {}
    for run, recipe in recipes.items():
        if is_network_file(run):  # of whichever run, it is a network of its own
            alone = sum(other.name == run.name for other in recipes) == 1
            names[run] = run.name if alone else str(run)
            continue
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
    first = next(iter(recipes.values()))
    data = build_data(first, split)
    networks = networks_of(recipes, data)
    if isinstance(first, InstanceRecipe):
        task = instance_task(first, len(data.classes))
        instance_comparison(networks, data, Path(file), task, index)
    else:
        comparison(networks, data, Path(file), index, build_inference(first.evaluation))


def networks_of(recipes: Mapping[Path, Recipe], data: Any) -> dict[str, nn.Module]:
    """The networks by name, with the data set's classes: the runs' teacher, if it is none of them
    and still there, then the first run of each method.
    """
    networks: dict[str, nn.Module] = {}
    names = names_of(recipes)
    teacher = teacher_of(list(recipes.values()))
    if teacher is not None and teacher.resolve() not in {run.resolve() for run in recipes}:
        title = "teacher" if "teacher" not in names.values() else str(teacher)
        own = read_classes(teacher)[0]
        with suppress(UserError):  # one of other classes is not comparable
            networks[title] = aligned(load(teacher), data.classes, own, str(teacher))
    for run, name in names.items():
        if name not in networks:
            networks[name] = aligned(load(run), data.classes, classes_at(run), str(run))
    return networks


def teacher_of(recipes: Sequence[Recipe]) -> Path | None:
    """The folder of the first teacher among the recipes that is a run, and still there."""
    for recipe in recipes:
        if recipe.teacher is not None and not isinstance(recipe.teacher, Network):
            folder = Path(recipe.teacher)
            if (folder / "recipe.yaml").is_file():
                return folder
    return None
