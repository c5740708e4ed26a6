"""Scores class by class, and size by size, as bars."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isnan
from statistics import fmean

from bpkd.report.table import Row

#: A bar's height in pixels, with the room to the next.
THICK = 15
#: Of objects, each with the letter of its AP.
SIZES = ("small", "medium", "large")


@dataclass
class ClassBars:
    """A class or size: number, name, perhaps a colour, a value a method, and the last's gain."""

    index: int
    name: str
    colour: tuple[int, int, int] | None
    values: list[float | None]
    ahead: float | None


@dataclass
class Measure:
    """One measure of all classes, or of all sizes, in per cent."""

    title: str
    classes: list[ClassBars]
    of: str = "class"


def measures(
    rows: Sequence[Row],
    classes: Sequence[str],
    palette: Sequence[tuple[int, int, int]],
    compared: tuple[int, int] | None,
) -> list[Measure]:
    """The measures by class that all rows have.

    Args:
        rows: the runs; several scores of a row are averaged.
        classes, palette: their names and colours.
        compared: two rows; the second's gain is told beside each class.
    """
    every = [scores for row in rows for scores in row.scores]
    names = [name for name in every[0] if all(_by_class(s.get(name), len(classes)) for s in every)]
    found = []
    for name in names:
        bars = []
        for index, (label, colour) in enumerate(zip(classes, palette, strict=True)):
            values = [_mean([scores[name][index] for scores in row.scores]) for row in rows]
            bars.append(ClassBars(index, label, colour, values, _ahead(values, compared)))
        found.append(Measure(_title(name), bars))
    return sorted(found, key=lambda measure: measure.title == "accuracy")


def of_sizes(rows: Sequence[Row], compared: tuple[int, int] | None) -> list[Measure]:
    """AP of small, medium and large objects, of runs that have it; boundary AP likewise."""
    every = [scores for row in rows for scores in row.scores]
    found = []
    for prefix, title in (("", "AP by size"), ("boundary_", "boundary AP by size")):
        if any(f"{prefix}AP{size[0]}" not in scores for scores in every for size in SIZES):
            continue
        bars = []
        for index, size in enumerate(SIZES):
            key = f"{prefix}AP{size[0]}"
            values = [_mean([scores[key] for scores in row.scores]) for row in rows]
            bars.append(ClassBars(index, size, None, values, _ahead(values, compared)))
        found.append(Measure(title, bars, "size"))
    return found


def _ahead(values: Sequence[float | None], compared: tuple[int, int] | None) -> float | None:
    first, last = (values[row] for row in compared) if compared else (None, None)
    return None if first is None or last is None else last - first


def _by_class(value: object, classes: int) -> bool:
    return isinstance(value, list) and len(value) == classes and not isinstance(value[0], list)


def _mean(values: Sequence[float]) -> float | None:
    """Per cent; None where no run has the class."""
    known = [100 * value for value in values if not isnan(value)]
    return fmean(known) if known else None


def _title(name: str) -> str:
    """What a measure is called.

    >>> _title("trimap_IoU@3"), _title("boundary_IoU"), _title("Acc"), _title("class_AP")
    ('trimap IoU, 3 px', 'boundary IoU', 'accuracy', 'AP')
    """
    words, _, width = name.replace("class_", "").replace("_", " ").partition("@")
    return "accuracy" if name == "Acc" else f"{words}, {width} px" if width else words
