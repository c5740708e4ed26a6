"""Tables of a page: each cell has its text, and the number by which its column is sorted."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bpkd.report.html.page import rendered, write_page
from bpkd.report.paper_grid import Grid

_NUMBER = re.compile(r"\s*([+-]?\d+(?:\.\d+)?)\s*([kMGT]?)(?![\w.])")
_PREFIXES = {"": 1.0, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12}


@dataclass
class Cell:
    """One cell.

    Attributes:
        text: what is shown.
        value: by which the column is sorted; None: it has no number, and comes last.
        best: whether it is set in bold.
    """

    text: str
    value: float | None = None
    best: bool = False


@dataclass
class Sheet:
    """A table.

    Attributes:
        title: what stands above it.
        header: names of the columns.
        rows: their cells; the first column holds names.
        note: what stands below.
        sortable: whether the columns' names are buttons that sort.
        breaks: the rows after which a line is drawn.
    """

    title: str
    header: Sequence[str]
    rows: list[list[Cell]]
    note: str = ""
    sortable: bool = True
    breaks: Collection[int] = field(default_factory=tuple)


def sheet(title: str, header: Sequence[str], rows: Sequence[Sequence[str]]) -> Sheet:
    """A table of text, sorted by the numbers that its cells begin with."""
    return Sheet(title, header, [[Cell(text, as_number(text)) for text in row] for row in rows])


def as_number(text: str) -> float | None:
    """The number that a cell begins with.

    Example:
        >>> as_number("38.9 ± 0.5"), as_number("2.00 M"), as_number("-"), as_number("3x3")
        (38.9, 2000000.0, None, None)
    """
    found = _NUMBER.match(text)
    return None if found is None else float(found[1]) * _PREFIXES[found[2]]


def mark_best(table: Sheet, columns: Collection[int], among: Collection[int]) -> None:
    """Set the largest number of each of the columns in bold; several where they are level.

    Args:
        table: is changed.
        columns: which; larger is better in all of them.
        among: the rows that are compared, if they are two or more.
    """
    for column in columns:
        cells = [table.rows[row][column] for row in among]
        known = [cell.value for cell in cells if cell.value is not None]
        for cell in cells if len(known) > 1 else ():
            cell.best = cell.value == max(known)


def write_grids(file: Path, title: str, grids: Sequence[Grid]) -> None:
    """Tables of the paper as a page.

    Args:
        file: is written whole, or not at all.
        title: of the page.
        grids: its tables.
    """
    sheets = []
    for grid in grids:
        each = sheet(grid.title, grid.header, grid.rows)
        each.breaks = grid.breaks
        sheets.append(each)
    notes = dict.fromkeys(grid.note for grid in grids)
    warnings = [warning for grid in grids for warning in grid.warnings]
    values = {"title": title, "sheets": sheets, "notes": list(notes), "remarks": warnings}
    write_page(file, rendered("tables.html", **values))
