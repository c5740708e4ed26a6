"""The paper's tables: published numbers, those of our runs, and what lies between."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from bpkd.errors import UserError
from bpkd.evaluation import evaluate
from bpkd.messages import suggestion
from bpkd.metrics.measures import Scores
from bpkd.recipe import load_recipe
from bpkd.report.paper_numbers import DATA, MEASURES, METHODS, Numbers, networks

#: Tables of pairs and methods, and the iterations of each.
SCHEDULES = {"2": 40_000, "80k": 80_000}


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
        runs: their folders, and the iterations of each.
    """

    data: str
    pair: str
    method: str
    title: str
    parameters: float
    multiply_adds: float
    published: dict[str, float] = field(default_factory=dict)
    ours: dict[str, list[float]] = field(default_factory=dict)
    runs: dict[Path, int] = field(default_factory=dict)

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
) -> list[Line]:
    """The rows of a table of pairs and methods.

    Args:
        runs: folder that holds runs as DATA/PAIR/METHOD, or DATA/PAIR/METHOD-SEED for several
            seeds; None for the published numbers alone.
        published: what stands beside them, see :func:`bpkd.report.paper_numbers.read_numbers`.
        data: which data sets, all where none is named.
        progress: wraps each run's evaluation, e.g. to draw a bar.

    Raises:
        UserError: no such folder or data set.
    """
    for name in data:
        if name not in DATA:
            raise UserError(f"{name!r} is no data set of the paper; {suggestion(name, DATA)}")
    if runs is not None and not runs.is_dir():
        raise UserError(f"{runs} is no folder; give the folder that holds DATA/PAIR/METHOD")
    lines = _lines(list(data) or list(DATA), published)
    for line in lines if runs is not None else []:
        for run in finished_runs(runs, line.data, line.pair, line.method):  # type: ignore[arg-type]
            scores = evaluate(run, progress=progress)
            line.runs[run] = load_recipe(run / "recipe.yaml").max_iters
            for measure in MEASURES:
                line.ours.setdefault(measure, []).append(100 * float(scores[measure]))
    return lines


def warnings(lines: Iterable[Line], runs: Path, max_iters: int) -> list[str]:
    """What a reader of the table has to know: no runs at all, or runs of another length.

    Args:
        lines: rows, as :func:`table` fills them.
        runs: the folder that they were looked for in.
        max_iters: the table's iterations. A teacher trains for none: its file is taken as it is.

    Example:
        >>> line = Line("ade20k", "pspnet", "cwd", "CWD", 1, 1)
        >>> warnings([line], Path("runs"), 40_000)[0]
        'no finished run below runs: a row is looked for in runs/ade20k/pspnet/cwd'
        >>> line.runs = {Path("runs/ade20k/pspnet/cwd"): 2}
        >>> warnings([line], Path("runs"), 40_000)
        ['runs/ade20k/pspnet/cwd has 2 iterations, and this table 40,000']
    """
    lines = list(lines)
    if not any(line.runs for line in lines):
        first = lines[0]
        where = runs / first.data / first.pair / first.method
        return [f"no finished run below {runs}: a row is looked for in {where}"]
    return [
        f"{run} has {count:,} iterations, and this table {max_iters:,}"
        for line in lines
        for run, count in line.runs.items()
        if count not in ({0, max_iters} if line.method == "teacher" else {max_iters})
    ]


def trimap(
    runs: Path, data: str, pair: str, width: int, progress: Callable[[Any], Any] = iter
) -> dict[str, list[Scores]]:
    """Scores of the runs of one pair on one data set, by method, for the table class by class."""
    found: dict[str, list[Scores]] = {}
    for method in METHODS:
        for run in finished_runs(runs, data, pair, method):
            scores = evaluate(run, progress=progress)
            if f"trimap_IoU@{width}" not in scores:
                known = ", ".join(k.partition("@")[2] for k in scores if k.startswith("trimap_IoU"))
                raise UserError(f"{run} was not measured at trimap width {width}; it has {known}")
            found.setdefault(method, []).append(scores)
    if not found:
        raise UserError(f"no finished run in {runs}/{data}/{pair}; train e.g. table2/{data}/{pair}")
    return found


def finished_runs(runs: Path, data: str, pair: str, method: str) -> Iterator[Path]:
    """The folders of one row's runs: METHOD, and METHOD-SEED."""
    for folder in sorted((runs / data / pair).glob(f"{method}*")):
        own = re.fullmatch(rf"{method}(-\d+)?", folder.name)
        if own and (folder / "student.safetensors").is_file():
            yield folder


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
