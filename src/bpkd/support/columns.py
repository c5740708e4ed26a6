"""Tables on a terminal: what is too wide for it stands below, and nothing is cut."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from rich import box
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions
from rich.table import Table
from rich.text import Text

from bpkd.support.messages import printable


@dataclass
class Columns:
    """A table of text for :meth:`rich.console.Console.print`, of any width.

    As many columns as fit stand in one table, the others in further ones below; the first column
    is in all of them.

    Attributes:
        header: names of the columns, of one line or several.
        rows: cells, a list a row.
        title: what stands above.
        numbers: all columns but the first are aligned right.
        breaks: the rows after which a line is drawn.
    """

    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    title: str = ""
    numbers: bool = True
    breaks: Collection[int] = ()

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Table]:
        """Rich asks for the parts, and says how wide they may be."""
        for columns in _fitting([self.header, *self.rows], options.max_width):
            table = Table(title=Text(self.title) if self.title else None, box=box.SIMPLE_HEAD)
            table.padding, table.title_style = (0, 1, 0, 0), ""
            for column in columns:
                # A word that is too long alone is folded, for what is cut cannot be copied.
                table.add_column(Text(self.header[column]), overflow="fold")
                if self.numbers and column:
                    table.columns[-1].justify = "right"
            for index, row in enumerate(self.rows):
                table.add_row(
                    *(Text(printable(row[c])) for c in columns), end_section=index in self.breaks
                )
            yield table


def _fitting(lines: Sequence[Sequence[str]], width: int) -> list[list[int]]:
    """The numbers of the columns of each table.

    Example:
        >>> _fitting([["name", "first", "second"], ["a", "1", "2"]], width=18)
        [[0, 1], [0, 2]]
    """
    # Two blanks between columns, and two at the sides.
    wide = [
        2 + max(cell_len(line) for cell in column for line in cell.split("\n"))
        for column in zip(*lines, strict=True)
    ]
    found, room = [[0]], width - 2 - wide[0]
    for column in range(1, len(wide)):
        if wide[column] > room and len(found[-1]) > 1:
            found.append([0])
            room = width - 2 - wide[0]
        found[-1].append(column)
        room -= wide[column]
    return found
