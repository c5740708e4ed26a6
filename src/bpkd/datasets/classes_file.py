"""The classes of a data set as a file, which the folder of a run keeps too."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

from bpkd.datasets.classes import check_names
from bpkd.errors import UserError
from bpkd.support.files import replacing_csv


def write_classes(folder: Path, data: Any) -> None:
    """Classes and colours of a data set as ``classes.csv``, which the folder data set reads too."""
    with replacing_csv(folder / "classes.csv") as stream:
        writer = csv.writer(stream)
        writer.writerow(["name", "r", "g", "b"])
        writer.writerows([name, *rgb] for name, rgb in zip(data.classes, data.palette, strict=True))


def read_classes(folder: Path) -> tuple[list[str], list[tuple[int, int, int]]]:
    """What :func:`write_classes` wrote."""
    file = folder / "classes.csv"
    if not file.is_file():
        raise UserError(f"{folder}: no run here (no classes.csv); give the folder of a run")
    try:
        with file.open(newline="", encoding="utf-8") as stream:
            rows = list(csv.DictReader(stream))
        colours = [(int(row["r"]), int(row["g"]), int(row["b"])) for row in rows]
        names = [str(row["name"]) for row in rows]
    except (KeyError, TypeError, ValueError, csv.Error):
        names, colours = [], []
    if not names or not all(0 <= value <= 255 for colour in colours for value in colour):
        raise UserError(
            f"{file} is damaged: expected name,r,g,b and a line a class, r, g, b from 0 to 255"
        )
    check_names(names, str(file))
    return names, colours


def classes_beside(file: str | Path) -> list[str] | None:
    """The classes of the run in whose folder a file lies; None where it lies in no run's."""
    folder = Path(file).parent
    kept = all((folder / name).is_file() for name in ("recipe.yaml", "classes.csv"))
    return read_classes(folder)[0] if kept else None
