"""A table of the paper as text: on the terminal, as Markdown, as CSV."""

from __future__ import annotations

import csv
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from math import isnan
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from bpkd.support.columns import Columns
from bpkd.support.files import replacing_csv


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
    breaks: Collection[int]
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


def beside(published: float | None, ours: Sequence[float]) -> tuple[str, str, str]:
    """Published, ours (one a run) and the difference as text, per cent; a gap is ``-``.

    Example:
        >>> beside(37.0, []), beside(37.0, [36.0, 37.0]), beside(None, [float("nan")])
        (('37.00', '-', '-'), ('37.00', '36.50 ± 0.71', '-0.50'), ('-', '-', '-'))
    """
    known = [value for value in ours if not isnan(value)]  # of a class that is nowhere
    shown = f"{mean(known):.2f}" if known else "-"
    if len(known) > 1:
        shown += f" ± {stdev(known):.2f}"
    difference = f"{mean(known) - published:+.2f}" if known and published is not None else "-"
    return (f"{published:.2f}" if published is not None else "-"), shown, difference


def record(measure: str, published: float | None, ours: Sequence[float]) -> dict[str, Any]:
    """The same for a spreadsheet."""
    return {
        f"{measure}_published": "" if published is None else published,
        f"{measure}_ours": mean(ours) if ours else "",
    }
