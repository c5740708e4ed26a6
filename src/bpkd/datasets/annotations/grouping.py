"""Shapes that a tool groups: one object of several parts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bpkd.datasets.annotations.common import Object
from bpkd.datasets.annotations.polygons import united


def grouped(shapes: Sequence[tuple[Any, Object]]) -> list[Object]:
    """The objects of shapes in order; those of one group and one label become one.

    It stands where the last of its parts stood, for that is what may cover others.

    Args:
        shapes: each with its group; None, 0 and "" are none.

    >>> from bpkd.datasets.annotations.polygons import rectangle
    >>> one, two = Object("car", rectangle(0, 0, 1, 1)), Object("car", rectangle(2, 0, 3, 1))
    >>> tree = Object("tree", rectangle(0, 0, 3, 3))
    >>> [thing.label for thing in grouped([(7, one), (None, tree), (7, two)])]
    ['tree', 'car']
    """
    groups: dict[Any, list[Object]] = {}
    for number, (group, thing) in enumerate(shapes):
        key = (group, thing.label) if group else number
        groups[key] = [*groups.pop(key, ()), thing]
    return [
        Object(parts[0].label, united([part.shape for part in parts])) for parts in groups.values()
    ]
