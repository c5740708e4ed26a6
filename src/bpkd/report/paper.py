"""The paper's tables: published numbers, those of our runs, and what lies between."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import bpkd
from bpkd.datasets.classes_file import read_classes
from bpkd.errors import UserError
from bpkd.report.paper_numbers import CLASSES, DATA, MEASURES, METHODS, Numbers, Rows, networks
from bpkd.report.paper_runs import differences, finished_runs
from bpkd.support.messages import suggestion

if TYPE_CHECKING:
    from bpkd.metrics.measures import Scores


@dataclass
class Line:
    """One row of a table.

    Attributes:
        data, pair, method: which row; the names of its recipe's folders.
        title: what the paper calls it.
        parameters: millions, as published; None where the paper has no number.
        multiply_adds: thousand millions, likewise.
        published: measure -> per cent; empty where nothing was published.
        ours: measure -> per cent, one a run; empty where there is no run.
        runs: their folders.
        problems: why others fill nothing, and in what these differ from the row's recipe.
    """

    data: str
    pair: str
    method: str
    title: str
    parameters: float | None = None
    multiply_adds: float | None = None
    published: dict[str, float] = field(default_factory=dict)
    ours: dict[str, list[float]] = field(default_factory=dict)
    runs: list[Path] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def table(
    rows: Rows,
    runs: Path | None,
    published: Numbers,
    data: Iterable[str] = (),
    progress: Callable[[Any], Any] = iter,
) -> list[Line]:
    """The rows of a table of pairs and methods.

    Args:
        rows: which table.
        runs: folder that holds runs as DATA/PAIR/METHOD, or DATA/PAIR/METHOD-SEED for several
            seeds; None for the published numbers alone.
        published: what stands beside them, see :func:`bpkd.report.paper_numbers.read_numbers`.
        data: which data sets, all where none is named.
        progress: wraps each run's evaluation, e.g. to draw a bar.

    Raises:
        UserError: no such folder or data set.
    """
    check_names(data, DATA, "data set")
    for name in data:
        if name not in rows.data:
            raise UserError(f"this table has no {name}; it has {', '.join(rows.data)}")
    lines = _lines(rows, list(dict.fromkeys(data)) or list(rows.data), published)
    if runs is not None:
        check_folder(runs)
        for line in lines:
            row = f"{line.data}/{line.pair}/{line.method}"
            found = finished_runs(runs / line.data / line.pair, line.method)
            fill(line, found, MEASURES, f"{rows.recipes}/{row}", progress)
    return lines


def fill(
    line: Line,
    runs: Iterable[Path],
    measures: Iterable[str],
    recipe: str | None,
    progress: Callable[[Any], Any],
    names: Mapping[str, str] | None = None,
) -> None:
    """Measure the runs of a row. One that cannot be measured leaves the others alone.

    Args:
        line: the row.
        runs: their folders.
        measures: names of scores, all of which a run must have.
        recipe: the name of the row's recipe, None where it has none.
        progress: wraps each run's evaluation.
        names: what the paper calls a measure -> what a run's scores call it, where that differs.
    """
    own = {measure: (names or {}).get(measure, measure) for measure in measures}
    for run in runs:
        try:
            check_classes(run, line.data)
            scores = measured(run, progress)
            missing = [name for name in own.values() if name not in scores]
            if missing:
                raise UserError(f"its task is another: it is not measured by {missing[0]}")
            other = differences(run, recipe) if recipe is not None else ""
        except UserError as error:
            line.problems.append(f"{run} is left out: {error}")
            continue
        line.runs.append(run)
        for measure, name in own.items():
            line.ours.setdefault(measure, []).append(100 * float(scores[name]))
        if other:
            line.problems.append(f"{run} differs from its row's recipe: {other}")


def check_classes(run: Path, data: str) -> None:
    """Refuse a run of another data set, before it is measured for hours."""
    count, wanted = len(read_classes(run)[0]), CLASSES.get(data)
    if wanted is not None and count != wanted:
        raise UserError(f"its data set has {count} classes, {DATA[data]} has {wanted}")


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


def _lines(rows: Rows, names: list[str], published: Numbers) -> list[Line]:
    """Every row with its published numbers."""
    sizes = networks()
    lines = []
    for data in names:
        for pair in rows.pairs:
            titles = {role: sizes[pair, role]["title"] for role in ("teacher", "student")}
            for method, title in METHODS.items():
                size = sizes[pair, "teacher" if method == "teacher" else "student"]
                # Our settings and the published ones stand beside the same published number.
                same = published.get((data, pair, method.removesuffix("_published")), {})
                numbers = published.get((data, pair, method), same)
                cost = float(size["parameters"]), float(size["multiply_adds"])
                lines.append(Line(data, pair, method, title.format(**titles), *cost, numbers))
    return lines
