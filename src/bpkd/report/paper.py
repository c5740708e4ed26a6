"""The paper's tables: published numbers, those of our runs, and what lies between."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from statistics import mean, stdev
from typing import TYPE_CHECKING, Any

import bpkd
from bpkd.errors import UserError
from bpkd.report.paper_numbers import DATA, MEASURES, METHODS, Numbers, networks
from bpkd.report.paper_runs import differences, finished_runs
from bpkd.support.messages import suggestion

if TYPE_CHECKING:
    from bpkd.metrics.measures import Scores

#: Tables of pairs and methods -> the folder of their recipes.
RECIPES = {"2": "table2", "80k": "80k"}


@dataclass
class Line:
    """One row of a table.

    Attributes:
        data, pair, method: which row; the names of its recipe's folders.
        title: what the paper calls it.
        parameters: millions, as published.
        multiply_adds: thousand millions, as published.
        published: measure -> per cent; empty where nothing was published.
        ours: measure -> per cent, one a run; empty where there is no run.
        runs: their folders.
        problems: why others fill nothing, and in what these differ from the row's recipe.
    """

    data: str
    pair: str
    method: str
    title: str
    parameters: float
    multiply_adds: float
    published: dict[str, float] = field(default_factory=dict)
    ours: dict[str, list[float]] = field(default_factory=dict)
    runs: list[Path] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def cells(self, measure: str) -> tuple[str, str, str]:
        """Published, ours and the difference as text; a gap is ``-``.

        Example:
            >>> line = Line("ade20k", "pspnet", "cwd", "CWD", 1, 1, {"mIoU": 37.0})
            >>> line.cells("mIoU")
            ('37.00', '-', '-')
            >>> line.ours = {"mIoU": [36.0, 37.0]}
            >>> line.cells("mIoU")
            ('37.00', '36.50 ± 0.71', '-0.50')
        """
        theirs, ours = self.published.get(measure), self.ours.get(measure, [])
        shown = f"{mean(ours):.2f}" if ours else "-"
        if len(ours) > 1:
            shown += f" ± {stdev(ours):.2f}"
        difference = f"{mean(ours) - theirs:+.2f}" if ours and theirs is not None else "-"
        return (f"{theirs:.2f}" if theirs is not None else "-"), shown, difference


def table(
    runs: Path | None,
    published: Numbers,
    data: Iterable[str] = (),
    progress: Callable[[Any], Any] = iter,
    recipes: str = "table2",
) -> list[Line]:
    """The rows of a table of pairs and methods.

    Args:
        runs: folder that holds runs as DATA/PAIR/METHOD, or DATA/PAIR/METHOD-SEED for several
            seeds; None for the published numbers alone.
        published: what stands beside them, see :func:`bpkd.report.paper_numbers.read_numbers`.
        data: which data sets, all where none is named.
        progress: wraps each run's evaluation, e.g. to draw a bar.
        recipes: the folder of the rows' recipes, which the runs are held against.

    Raises:
        UserError: no such folder or data set.
    """
    check_names(data, DATA, "data set")
    lines = _lines(list(dict.fromkeys(data)) or list(DATA), published)
    if runs is not None:
        check_folder(runs)
        for line in lines:
            _fill(line, runs, recipes, progress)
    return lines


def _fill(line: Line, runs: Path, recipes: str, progress: Callable[[Any], Any]) -> None:
    """Measure the runs of a row. One that cannot be measured leaves the others alone."""
    for run in finished_runs(runs, line.data, line.pair, line.method):
        try:
            scores = measured(run, progress)
            other = differences(run, f"{recipes}/{line.data}/{line.pair}/{line.method}")
        except UserError as error:
            line.problems.append(f"{run} is left out: {error}")
            continue
        line.runs.append(run)
        for measure in MEASURES:
            line.ours.setdefault(measure, []).append(100 * float(scores[measure]))
        if other:
            line.problems.append(f"{run} differs from its row's recipe: {other}")


def measured(run: Path, progress: Callable[[Any], Any]) -> Scores:
    """A run's scores, from its folder where they are there already."""
    # Not imported above: that takes seconds, and published numbers alone do without.
    scores: Scores = bpkd.evaluate(run, progress=progress)
    return scores


def check_folder(runs: Path) -> None:
    """Refuse what is no folder of runs."""
    if not runs.is_dir():
        raise UserError(f"{runs} is no folder; give the folder that holds DATA/PAIR/METHOD")


def check_names(names: Iterable[str], known: Iterable[str], kind: str) -> None:
    """Refuse names that the paper's tables do not have."""
    known = list(known)
    for name in names:
        if name not in known:
            raise UserError(f"{name!r} is no {kind} of the paper; {suggestion(name, known)}")


def _lines(names: list[str], published: Numbers) -> list[Line]:
    """Every row with its published numbers."""
    sizes = networks()
    lines = []
    for data in names:
        for pair in dict.fromkeys(pair for pair, _ in sizes):
            titles = {role: sizes[pair, role]["title"] for role in ("teacher", "student")}
            for method, title in METHODS.items():
                size = sizes[pair, "teacher" if method == "teacher" else "student"]
                # Our settings and the published ones stand beside the same published number.
                same = published.get((data, pair, method.removesuffix("_published")), {})
                numbers = published.get((data, pair, method), same)
                cost = float(size["parameters"]), float(size["multiply_adds"])
                lines.append(Line(data, pair, method, title.format(**titles), *cost, numbers))
    return lines
