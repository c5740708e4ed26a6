"""How the paper's tables look: on the terminal, as Markdown, as CSV."""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from typing import Any

from bpkd.errors import UserError
from bpkd.report import paper, paper_numbers
from bpkd.report.paper_runs import passed_over
from bpkd.support.columns import Columns
from bpkd.support.files import replacing_csv
from bpkd.support.messages import suggestion

NOTE = "M, G: millions of parameters, thousand millions of multiply-adds. Δ: ours minus published."
HEADER = ("", "M", "G", "mIoU", "ours", "Δ", "mAcc", "ours", "Δ")


@dataclass
class Grid:
    """A table as text.

    Attributes:
        title: what stands above it.
        header: names of the columns.
        rows: cells, a list a row.
        breaks: the rows after which a line is drawn.
        note: where the numbers come from.
        records: the same for a spreadsheet, in full precision.
        warnings: what the reader has to know of the runs.
    """

    title: str
    header: Sequence[str]
    rows: list[list[str]]
    breaks: set[int]
    note: str
    records: list[dict[str, Any]]
    warnings: Sequence[str] = ()

    def terminal(self) -> Columns:
        """For the terminal."""
        return Columns(self.header, self.rows, self.title, breaks=self.breaks)

    def markdown(self) -> str:
        """For a Markdown page."""
        rule = ["---"] + ["---:"] * (len(self.header) - 1)
        lines = [list(self.header), rule, *self.rows]
        return f"**{self.title}**\n\n" + "".join(f"| {' | '.join(line)} |\n" for line in lines)

    @staticmethod
    def write_csv(file: Path, grids: Sequence[Grid]) -> None:
        """For a spreadsheet: every grid's records below each other."""
        records = [record for grid in grids for record in grid.records]
        with replacing_csv(file) as stream:
            writer = csv.DictWriter(stream, list(dict.fromkeys(key for r in records for key in r)))
            writer.writeheader()
            writer.writerows(records)


def pairs_and_methods(
    number: str,
    runs: Path | None,
    data: Sequence[str],
    published: Path | None = None,
    progress: Callable[[Any], Any] = iter,
) -> list[Grid]:
    """Table 2, or the one at 80k: a grid a data set.

    Args:
        number: ``2`` or ``80k``.
        runs: the folder of runs, or None.
        data: which data sets; all where none is named.
        published: a CSV file of published numbers; None for those in the package.
        progress: wraps each run's evaluation, e.g. to draw a bar.

    Raises:
        UserError: no such table, folder or data set, or a file that is no list of numbers.
    """
    if number not in paper.RECIPES:
        known = suggestion(number, [*paper.RECIPES, "3", "later"])
        raise UserError(f"{number!r} is no table of the paper that is known here; {known}")
    source, numbers = paper_numbers.read_numbers(published or paper_numbers.LIST)
    note = f"published: {source or published}. {NOTE}"
    if number == "2" and published is None:
        note += " The paper's numbers at 40k are not in the package: see --published."
    lines = paper.table(runs, numbers, data, progress, paper.RECIPES[number])
    grids = []
    for name in dict.fromkeys(line.data for line in lines):
        own = [line for line in lines if line.data == name]
        last = {index for index, line in enumerate(own) if line.method == "bpkd_published"}
        title = f"{paper_numbers.DATA[name]}: ours at {'80k' if number == '80k' else '40k'}"
        rows = [_row(line) for line in own]
        grids.append(Grid(title, HEADER, rows, last, note, [_record(o) for o in own]))
        grids[-1].warnings = [] if runs is None else _warnings(own, runs)
    return grids


def _warnings(lines: Sequence[paper.Line], runs: Path) -> list[str]:
    """What a reader of a data set's rows has to know of its runs."""
    found = [problem for line in lines for problem in line.problems]
    for pair in dict.fromkeys(line.pair for line in lines):
        found += passed_over(runs, lines[0].data, pair)
    if not found and not any(line.runs for line in lines):
        where = runs / lines[0].data / lines[0].pair / lines[0].method
        return [f"no run for {lines[0].data}: a row is looked for in {where}"]
    return found


def _row(line: paper.Line) -> list[str]:
    cost = [f"{line.parameters:.2f}", f"{line.multiply_adds:.2f}"]
    return [line.title, *cost, *line.cells("mIoU"), *line.cells("mAcc")]


def _record(line: paper.Line) -> dict[str, Any]:
    record: dict[str, Any] = {"data": line.data, "pair": line.pair, "method": line.method}
    for measure in paper_numbers.MEASURES:
        ours = line.ours.get(measure, [])
        record[f"{measure}_published"] = line.published.get(measure, "")
        record[f"{measure}_ours"] = mean(ours) if ours else ""
    return record | {"runs": len(line.ours.get("mIoU", []))}
