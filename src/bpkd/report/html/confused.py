"""Confusion matrices: which class is taken for which."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bpkd.report.table import Row

#: Up to so many classes, cells have room for numbers.
_NUMBERS = 20
#: Up to so many, lines have room for names.
_NAMES = 60
#: Shares below it are not drawn.
_LEAST = 0.005
#: So many pairs are listed.
_PAIRS = 12


@dataclass
class Square:
    """A cell: where it is, its share of the true class's pixels, what it says."""

    row: int
    column: int
    share: float
    text: str


@dataclass
class Matrix:
    """One method's confusions.

    Attributes:
        name: of the method.
        squares: the cells that are not empty.
        side: of a cell in pixels.
        numbers: whether cells have room for numbers.
        classes: the names; none where there is no room for them.
        pairs: the largest confusions: true class, predicted class, share.
        count: of the classes.
        letters: of the longest name.
    """

    name: str
    squares: list[Square]
    side: int
    numbers: bool
    classes: list[str]
    pairs: list[tuple[str, str, float]]
    count: int
    letters: int


def matrices(rows: Sequence[Row], classes: Sequence[str]) -> list[Matrix]:
    """The confusion matrix of each method, pixels summed over its runs; rows are true classes.

    Args:
        rows: scores with ``confusion``, counts (C, C); methods without are passed over.
        classes: C names.
    """
    return [
        _matrix(row.name, np.sum([scores["confusion"] for scores in row.scores], axis=0), classes)
        for row in rows
        if all("confusion" in scores for scores in row.scores)
    ]


def _matrix(name: str, counts: np.ndarray, classes: Sequence[str]) -> Matrix:
    count = len(classes)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    squares = []
    for row, column in np.argwhere(shares >= _LEAST).tolist():
        share = float(shares[row, column])
        text = f"{classes[row]}: {100 * share:.1f} % predicted as {classes[column]}"
        squares.append(Square(row, column, share, text))
    others = [each for each in squares if each.row != each.column]
    largest = sorted(others, key=lambda each: -each.share)[:_PAIRS]
    pairs = [(classes[each.row], classes[each.column], 100 * each.share) for each in largest]
    side = 30 if count <= _NUMBERS else 14 if count <= _NAMES else 5
    shown = list(classes) if count <= _NAMES else []
    letters = min(max((len(label) for label in shown), default=0), 22)
    return Matrix(name, squares, side, count <= _NUMBERS, shown, pairs, count, letters)
