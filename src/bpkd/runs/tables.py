"""The CSV files that a run grows."""

from __future__ import annotations

import csv
import io
import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bpkd.errors import UserError
from bpkd.support.files import replacing_csv, sync_file


class Table:
    """A CSV file that grows by rows, keyed by iteration; whole at every moment.

    Args:
        path: the file; rows that it already holds are kept up to iteration ``start``.
        start: iterations that count as done.
        own: whether this process writes it; others only read.

    Raises:
        UserError: the file is damaged before its last line.
    """

    def __init__(self, path: Path, start: int = 0, own: bool = True) -> None:
        self.path = path
        self.rows: list[dict[str, Any]] = []
        if path.is_file():
            found = read_rows(path) if start > 0 else []
            self.rows = [row for row in found if int(row["iteration"]) <= start]
            if own and (len(self.rows) < len(found) or not start or _is_torn(path)):
                self._write()

    def append(self, row: dict[str, Any]) -> None:
        """Add a row; a column that is new is added to the whole table."""
        known = set(self.rows[0]) if self.rows else set()
        self.rows.append(row)
        if set(row) == known and self.path.is_file():
            whole = self.path.stat().st_size
            try:
                with self.path.open("a", newline="", encoding="utf-8") as stream:
                    csv.DictWriter(stream, list(self.rows[0])).writerow(row)
            except OSError:
                os.truncate(self.path, whole)  # a full disk must not leave half a row
                raise
        else:
            self._write()

    def sync(self) -> None:
        """Wait until all rows are on the disk."""
        if self.path.is_file():
            sync_file(self.path)

    def _write(self) -> None:
        columns = list(dict.fromkeys(name for row in self.rows for name in row))
        with replacing_csv(self.path, make_folder=False) as stream:
            writer = csv.DictWriter(stream, columns)
            writer.writeheader()
            writer.writerows(self.rows)


def read_rows(path: Path) -> list[dict[str, str]]:
    """The rows of a run's table, as text; a last line that was cut off is left out.

    Raises:
        UserError: any other line is not as bpkd writes it.
    """
    try:
        text = path.read_text(encoding="utf-8")
        reader = csv.DictReader(io.StringIO(text[: text.rfind("\n") + 1], newline=""), strict=True)
        rows = list(reader)
    except (UnicodeDecodeError, csv.Error) as error:
        raise _damaged(path, f"it is no CSV file: {error}") from error
    if text.strip() and "iteration" not in (reader.fieldnames or ()):
        raise _damaged(path, "it has no column iteration")
    before = -1
    for number, row in enumerate(rows, start=2):
        value = row["iteration"] or ""
        whole = None not in row and None not in row.values()
        if not (whole and value.isascii() and value.isdigit() and len(value) < 16):
            raise _damaged(path, f"line {number} is not a whole row")
        if int(value) <= before:
            raise _damaged(path, f"line {number}: iteration {value} stands after {before}")
        before = int(value)
    return rows


def best(rows: Sequence[dict[str, Any]], by: str = "mIoU") -> tuple[int, float]:
    """Iteration and score of the first of the best validations; (0, -inf) before there is one.

    Example:
        >>> best([{"iteration": "2", "mIoU": "0.5"}, {"iteration": "4", "mIoU": "0.5"}])
        (2, 0.5)

    Raises:
        UserError: a score is no number.
    """
    found, score = 0, float("-inf")
    for row in rows:
        try:
            value = float(row[by])
        except (KeyError, TypeError, ValueError) as error:
            raise UserError(
                f"metrics.csv is damaged: iteration {row['iteration']} has no {by}; put back a "
                "whole copy of it"
            ) from error
        if not math.isnan(value) and value > score:
            found, score = int(row["iteration"]), value
    return found, score


def _is_torn(path: Path) -> bool:
    text = path.read_bytes()
    return bool(text) and not text.endswith(b"\n")


def _damaged(path: Path, why: str) -> UserError:
    return UserError(f"{path} is damaged: {why}; put back a whole copy of it, or mend that line")
