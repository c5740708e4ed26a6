"""Tables on a terminal: what is too wide for it stands below, and nothing is cut."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from rich import box
from rich.table import Table
from rich.text import Text


def tables(
    header: Sequence[str],
    rows: Sequence[Sequence[str]],
    width: int,
    *,
    title: str = "",
    numbers: bool = True,
    breaks: Collection[int] = (),
) -> Iterator[Table]:
    """As many columns in one table as fit, the others in further ones; the first is in all.

    Args:
        header: names of the columns.
        rows: cells, a list a row.
        width: characters of the terminal.
        title: what stands above each table.
        numbers: all columns but the first are aligned right.
        breaks: the rows after which a line is drawn.
    """
    for columns in _fitting([header, *rows], width):
        table = Table(title=Text(title) if title else None, box=box.SIMPLE_HEAD)
        table.padding, table.title_style = (0, 1, 0, 0), ""
        for column in columns:
            right = numbers and column > 0
            table.add_column(Text(header[column]), justify="right" if right else "left")
            table.columns[-1].no_wrap = True
        for index, row in enumerate(rows):
            table.add_row(*(Text(row[c]) for c in columns), end_section=index in breaks)
        yield table


def _fitting(lines: Sequence[Sequence[str]], width: int) -> list[list[int]]:
    """The numbers of the columns of each table.

    Example:
        >>> _fitting([["name", "first", "second"], ["a", "1", "2"]], width=18)
        [[0, 1], [0, 2]]
    """
    # Two blanks between columns, and two at the sides.
    wide = [2 + max(map(len, column)) for column in zip(*lines, strict=True)]
    found, room = [[0]], width - 2 - wide[0]
    for column in range(1, len(wide)):
        if wide[column] > room and len(found[-1]) > 1:
            found.append([0])
            room = width - 2 - wide[0]
        found[-1].append(column)
        room -= wide[column]
    return found
