"""Published numbers: those in the package, or a file of the reader's own."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

from bpkd.errors import UserError
from bpkd.support.messages import one_line, suggestion

PACKAGED = Path(__file__).parent / "published"
DATA = {"cityscapes": "Cityscapes", "ade20k": "ADE20K", "pascal_context": "Pascal Context"}
#: How many classes their labels have.
CLASSES = {"cityscapes": 19, "ade20k": 150, "pascal_context": 59}
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
#: COCO's, of Table 4.
AP_MEASURES = ("AP", "AP50", "AP75", "AP_S", "AP_M", "AP_L")
_KEYS = ("data", "pair", "method")

#: data, pair, method -> measure -> per cent.
Numbers = dict[tuple[str, str, str], dict[str, float]]


@dataclass(frozen=True)
class Rows:
    """A table of data sets, pairs and methods.

    Attributes:
        file: of its published numbers.
        recipes: the folder of its rows' recipes.
        what: is said in its title.
        data, pairs: which it has; the names of its recipes' folders.
    """

    file: Path
    recipes: str
    what: str
    data: tuple[str, ...] = tuple(DATA)
    pairs: tuple[str, ...] = ("pspnet", "hrnet", "deeplabv3plus", "isanet")


#: The tables of pairs and methods. At 80,000 iterations there is the authors' list of models.
TABLES = {
    "1": Rows(
        PACKAGED / "table1.csv", "table1", "no ImageNet weights, 40k", ("ade20k",), ("pspnet",)
    ),
    "2": Rows(PACKAGED / "table2.csv", "table2", "40k"),
    "80k": Rows(PACKAGED / "80k.csv", "80k", "80k"),
}


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


def trimap_numbers() -> tuple[str, dict[str, dict[str, float]]]:
    """Table 3: where it is from; class, at the end ``average`` -> method -> per cent."""
    return _by_first_column("table3.csv")


def instance_numbers() -> tuple[str, dict[str, dict[str, float]]]:
    """Table 4: where it is from; method -> measure -> per cent."""
    return _by_first_column("table4.csv")


def _by_first_column(name: str) -> tuple[str, dict[str, dict[str, float]]]:
    source, rows = read_rows(PACKAGED / name)
    numbers = {}
    for row in rows:
        first, *others = row.items()
        numbers[first[1]] = {key: float(value) for key, value in others}
    return source, numbers


def _place(row: dict[str, str], file: Path) -> tuple[str, str, str]:
    """Which row of the tables a line of a file is."""
    for key, known in zip(_KEYS, (DATA, TABLES["2"].pairs, METHODS), strict=True):
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
