"""The paper's table of trimap IoU class by class, from runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from math import isnan
from pathlib import Path
from statistics import mean
from typing import TYPE_CHECKING, Any

from bpkd.errors import UserError
from bpkd.report.paper import check_folder, check_names, measured
from bpkd.report.paper_layout import Grid
from bpkd.report.paper_numbers import DATA, METHODS, networks
from bpkd.report.paper_runs import differences, finished_runs, passed_over
from bpkd.runs.classes import read_classes

if TYPE_CHECKING:
    from bpkd.metrics.measures import Scores


@dataclass
class Trimap:
    """Runs of one pair on one data set, for the table class by class.

    Attributes:
        classes: their names.
        scores: by method, one a run.
        problems: why other runs are left out, and in what these differ from their rows' recipes.
    """

    classes: list[str] = field(default_factory=list)
    scores: dict[str, list[Scores]] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    def means(self, name: str, index: int | None = None) -> dict[str, float]:
        """A score, or one class's of a list of scores, by method the mean of its runs."""
        return {
            method: mean(run[name] if index is None else run[name][index] for run in runs)
            for method, runs in self.scores.items()
        }


def trimap(
    runs: Path, data: str, pair: str, width: int, progress: Callable[[Any], Any] = iter
) -> Trimap:
    """Measure the runs of one pair on one data set.

    Raises:
        UserError: no such folder, data set or pair, or no run in it that can be measured.
    """
    check_names([data], DATA, "data set")
    check_names([pair], dict.fromkeys(pair for pair, _ in networks()), "pair")
    check_folder(runs)
    found = Trimap()
    for method in METHODS:
        for run in finished_runs(runs, data, pair, method):
            try:
                scores = measured(run, progress)
                classes = read_classes(run)[0]
                other = differences(run, f"table2/{data}/{pair}/{method}")
                _check_alike(scores, width, classes, found.classes or classes)
            except UserError as error:
                found.problems.append(f"{run} is left out: {error}")
                continue
            found.classes = classes
            found.scores.setdefault(method, []).append(scores)
            if other:
                found.problems.append(f"{run} differs from its row's recipe: {other}")
    if not found.scores:
        why = found.problems[0] if found.problems else f"train e.g. table2/{data}/{pair}/bpkd"
        raise UserError(f"no finished run in {runs}/{data}/{pair}: {why}")
    return found


def _check_alike(scores: Scores, width: int, classes: list[str], others: list[str]) -> None:
    """Refuse a run that has no place in a table of this width and these classes."""
    if f"trimap_IoU@{width}" not in scores:
        known = ", ".join(key.partition("@")[2] for key in scores if key.startswith("trimap_IoU"))
        raise UserError(f"it was not measured at trimap width {width}; it has {known}")
    if classes != others:
        raise UserError("it has other classes than the runs before it")


def by_class(
    runs: Path | None, data: str, pair: str, width: int, progress: Callable[[Any], Any] = iter
) -> Grid:
    """Table 3: trimap IoU class by class, a column a method.

    Raises:
        UserError: no folder of runs, no such data set or pair, or no run in it that is finished.
    """
    if runs is None:
        raise UserError("table 3 has no published numbers here; give --runs, e.g. runs/table2")
    found = trimap(runs, data, pair, width, progress)
    where = {"data": data, "pair": pair}
    lines = [
        (label, found.means(f"trimap_IoU@{width}", index))
        for index, label in enumerate(found.classes)
    ]
    lines.append(("mean", found.means(f"trimap_mIoU@{width}")))
    rows = [[label, *map(_share, values.values())] for label, values in lines]
    records = [
        where | {"class": label} | {method: 100 * value for method, value in values.items()}
        for label, values in lines
    ]
    title = f"{data}, {pair}: trimap IoU at {width} px, %"
    note = "Ours alone: the paper's numbers for this table are not in the package."
    grid = Grid(title, ["class", *found.scores], rows, {len(rows) - 2}, note, records)
    grid.warnings = [*found.problems, *passed_over(runs, data, pair)]
    return grid


def _share(value: float) -> str:
    """Per cent; a class that is nowhere in the labels has no number."""
    return "-" if isnan(value) else f"{100 * value:.1f}"
