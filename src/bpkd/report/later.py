"""What is published of the methods after BPKD, beside what their students reach alone."""

from __future__ import annotations

from collections.abc import Sequence

from bpkd.errors import UserError
from bpkd.report.paper_grid import Grid
from bpkd.report.paper_numbers import PACKAGED, read_rows
from bpkd.support.messages import suggestion

DATA = {"cityscapes": "Cityscapes", "coco": "COCO"}
HEADER = ("", "teacher", "student", "alone", "rerun", "taught", "Δ", "Δ rerun", "protocol")
NOTE = "Δ: taught minus alone, and minus rerun."


def later(data: Sequence[str] = ()) -> list[Grid]:
    """A grid for each data set and measure.

    Args:
        data: ``cityscapes``, ``coco``; all where none is named.

    Raises:
        UserError: there is nothing of that data set.
    """
    for name in data:
        if name not in DATA:
            raise UserError(f"table later has nothing of {name!r}; {suggestion(name, DATA)}")
    source, rows = read_rows(PACKAGED / "later.csv")
    chosen = [row for row in rows if not data or row["data"] in data]
    grids = []
    for place in dict.fromkeys((row["data"], row["measure"]) for row in chosen):
        own = [row for row in chosen if (row["data"], row["measure"]) == place]
        title = f"{DATA[place[0]]}, {place[1]}"
        note = f"published: {source} {NOTE}"
        grids.append(Grid(title, HEADER, [_cells(row) for row in own], set(), note, list(own)))
    return grids


def _cells(row: dict[str, str]) -> list[str]:
    """A method's line.

    Example:
        >>> row = {"method": "M", "teacher": "T", "student": "S", "quoted": "74.2", "rerun": "76.2"}
        >>> _cells(row | {"published": "77.0", "protocol": "40k"})
        ['M', 'T', 'S', '74.2', '76.2', '77.0', '+2.8', '+0.8', '40k']
    """
    taught, numbers = row["published"], (row["quoted"], row["rerun"])
    digits = len(taught.partition(".")[2])
    gains = [f"{float(taught) - float(n):+.{digits}f}" if n else "" for n in numbers]
    names = [row["method"], row["teacher"], row["student"]]
    return [*names, *numbers, taught, *gains, row["protocol"]]
