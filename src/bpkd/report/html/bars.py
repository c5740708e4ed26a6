"""Scores class by class, as bars."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isnan
from statistics import fmean

from bpkd.report.table import Row

#: A bar's height in pixels, with the room to the next.
THICK = 15


@dataclass
class ClassBars:
    """A class: its number, name and colour, a value a method, and by how much the last is ahead."""

    index: int
    name: str
    colour: tuple[int, int, int]
    values: list[float | None]
    ahead: float | None


@dataclass
class Measure:
    """One measure of all classes, in per cent."""

    title: str
    classes: list[ClassBars]


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
            first, last = (values[row] for row in compared) if compared else (None, None)
            ahead = None if first is None or last is None else last - first
            bars.append(ClassBars(index, label, colour, values, ahead))
        found.append(Measure(_title(name), bars))
    return sorted(found, key=lambda measure: measure.title == "accuracy")


def _by_class(value: object, classes: int) -> bool:
    return isinstance(value, list) and len(value) == classes and not isinstance(value[0], list)


def _mean(values: Sequence[float]) -> float | None:
    """Per cent; None where no run has the class."""
    known = [100 * value for value in values if not isnan(value)]
    return fmean(known) if known else None


def _title(name: str) -> str:
    """What a measure is called.

    >>> _title("trimap_IoU@3"), _title("boundary_IoU"), _title("Acc")
    ('trimap IoU, 3 px', 'boundary IoU', 'accuracy')
    """
    words, _, width = name.replace("_", " ").partition("@")
    return "accuracy" if name == "Acc" else f"{words}, {width} px" if width else words
