"""The paper's tables of pairs and methods: 1, 2, and the list at 80,000 iterations."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from bpkd.report import paper, paper_numbers
from bpkd.report.paper_grid import Grid, beside, record
from bpkd.report.paper_runs import passed_over

NOTE = "M, G: millions of parameters, thousand millions of multiply-adds. Δ: ours minus published."
HEADER = ("", "M", "G", "mIoU", "ours", "Δ", "mAcc", "ours", "Δ")


def pairs_and_methods(
    number: str,
    runs: Path | None,
    data: Sequence[str],
    published: Path | None = None,
    progress: Callable[[Any], Any] = iter,
) -> list[Grid]:
    """A grid a data set.

    Args:
        number: of the table, of :data:`bpkd.report.paper_numbers.TABLES`.
        runs: the folder of runs, or None.
        data: which data sets; all where none is named.
        published: a CSV file of published numbers; None for those in the package.
        progress: wraps each run's evaluation, e.g. to draw a bar.

    Raises:
        UserError: no such folder or data set, or a file that is no list of numbers.
    """
    rows = paper_numbers.TABLES[number]
    source, numbers = paper_numbers.read_numbers(published or rows.file)
    note = f"published: {source or published}. {NOTE}"
    lines = paper.table(rows, runs, numbers, data, progress)
    grids = []
    for name in dict.fromkeys(line.data for line in lines):
        own = [line for line in lines if line.data == name]
        last = {index for index, line in enumerate(own) if line.method == "bpkd_published"}
        title = f"{paper_numbers.DATA[name]}: {rows.what}"
        cells = [_row(line) for line in own]
        grids.append(Grid(title, HEADER, cells, last, note, [_record(o) for o in own]))
        grids[-1].warnings = [] if runs is None else _warnings(own, runs)
    return grids


def _warnings(lines: Sequence[paper.Line], runs: Path) -> list[str]:
    """What a reader of a data set's rows has to know of its runs."""
    found = [problem for line in lines for problem in line.problems]
    for pair in dict.fromkeys(line.pair for line in lines):
        found += passed_over(runs / lines[0].data / pair)
    if not found and not any(line.runs for line in lines):
        where = runs / lines[0].data / lines[0].pair / lines[0].method
        return [f"no run for {lines[0].data}: a row is looked for in {where}"]
    return found


def _row(line: paper.Line) -> list[str]:
    cost = [f"{line.parameters:.2f}", f"{line.multiply_adds:.2f}"]
    measured = (
        cell
        for measure in paper_numbers.MEASURES
        for cell in beside(line.published.get(measure), line.ours.get(measure, []))
    )
    return [line.title, *cost, *measured]


def _record(line: paper.Line) -> dict[str, Any]:
    found: dict[str, Any] = {"data": line.data, "pair": line.pair, "method": line.method}
    for measure in paper_numbers.MEASURES:
        found |= record(measure, line.published.get(measure), line.ours.get(measure, []))
    return found | {"runs": len(line.runs)}
