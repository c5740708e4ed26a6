"""Published numbers: those in the package, or a file of the reader's own."""

from __future__ import annotations

import csv
from pathlib import Path

from bpkd.errors import UserError
from bpkd.support.messages import one_line, suggestion

PACKAGED = Path(__file__).parent / "published"
#: The authors' list of models, at 80,000 iterations.
LIST = PACKAGED / "80k.csv"
DATA = {"cityscapes": "Cityscapes", "ade20k": "ADE20K", "pascal_context": "Pascal Context"}
METHODS = {
    "teacher": "T: {teacher}",
    "plain": "S: {student}",
    "skds": "SKDS",
    "ifvd": "IFVD",
    "cirkd": "CIRKD",
    "cwd": "CWD",
    "bpkd": "BPKD",
    "bpkd_published": "BPKD, published settings",
}
MEASURES = ("mIoU", "mAcc")
_KEYS = ("data", "pair", "method")

#: data, pair, method -> measure -> per cent.
Numbers = dict[tuple[str, str, str], dict[str, float]]


def networks() -> dict[tuple[str, str], dict[str, str]]:
    """What each pair's teacher and student are called and how large they are, as published."""
    rows = read_rows(PACKAGED / "networks.csv")[1]
    return {(row["pair"], row["role"]): row for row in rows}


def read_numbers(file: Path) -> tuple[str, Numbers]:
    """Published numbers from a CSV file, and where they are from.

    Args:
        file: columns data, pair, method, mIoU and mAcc, per cent; a number may be left out. Lines
            that begin with # say where the numbers are from.

    Returns:
        The source, and the numbers of each row that the file has.

    Raises:
        UserError: no such file, or a line of it is no row of the tables.
    """
    source, rows = read_rows(file)
    missing = [key for key in _KEYS if rows and key not in rows[0]]
    if rows and not set(MEASURES) & rows[0].keys():
        missing += MEASURES
    if missing or not rows:
        what = f"column {' or '.join(missing)}" if missing else "row"
        raise UserError(f"{file}: no {what}; expected {','.join((*_KEYS, *MEASURES))} and rows")
    numbers: Numbers = {}
    for row in rows:
        place = _place(row, file)
        if place in numbers:
            raise UserError(f"{file}: {'/'.join(place)} is there twice; keep one of the lines")
        given = {measure: row[measure] for measure in MEASURES if row.get(measure)}
        try:
            numbers[place] = {measure: _per_cent(text) for measure, text in given.items()}
        except ValueError:
            got = ", ".join(given.values())
            raise UserError(f"{file}: {'/'.join(place)}: expected per cent, got {got}") from None
    return source, numbers


def _place(row: dict[str, str], file: Path) -> tuple[str, str, str]:
    """Which row of the tables a line of a file is."""
    pairs = [pair for pair, role in networks() if role == "teacher"]
    for key, known in zip(_KEYS, (DATA, pairs, METHODS), strict=True):
        if row[key] not in known:
            raise UserError(f"{file}: {key} {row[key]!r}; {suggestion(str(row[key]), known)}")
    return row["data"], row["pair"], row["method"]


def _per_cent(text: str) -> float:
    """A published measure; all of them lie far above 1, so 0.75 stands for 75."""
    value = float(text)
    if not 1 < value <= 100:
        raise ValueError
    return value


def read_rows(file: Path) -> tuple[str, list[dict[str, str]]]:
    """What the comments of a CSV file say, and its rows."""
    try:
        lines = file.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{file}: no readable CSV file: {one_line(error)}") from error
    comments = [line.lstrip("# ") for line in lines if line.startswith("#")]
    return " ".join(comments), list(csv.DictReader(x for x in lines if x and x[0] != "#"))
