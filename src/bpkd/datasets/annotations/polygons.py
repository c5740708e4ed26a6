"""Outlines to pixels: a pixel belongs to a polygon when its centre does."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np

from bpkd.datasets.deep import Array
from bpkd.errors import UserError

_FAR = 1e7  # pixels; float32 is exact to half a pixel up to there


class Patch(NamedTuple):
    """A piece of an image: bool (h, w), and the column and row of its first pixel."""

    mask: Array
    left: int
    top: int


def nothing() -> Patch:
    """No pixel at all."""
    return Patch(np.zeros((0, 0), bool), 0, 0)


def clipped(patch: Patch, height: int, width: int) -> Patch:
    """The part of a patch that is inside the image."""
    mask, left, top = patch
    first_row, first_column = max(-top, 0), max(-left, 0)
    mask = mask[first_row : max(height - top, 0), first_column : max(width - left, 0)]
    if not mask.size:
        return nothing()
    return Patch(mask, left + first_column, top + first_row)


def fill(rings: Sequence[Array], height: int, width: int) -> Patch:
    """The pixels inside an odd number of rings: a ring inside another one is a hole.

    Coordinates are those of all annotation tools: (0, 0) is the corner of the image and the
    centre of the first pixel is (0.5, 0.5). Pillow's polygons cover every pixel that the outline
    touches and so grow by half a pixel on each side; this one is exact, and what is outside the
    image is cut off.

    Args:
        rings: each (P, 2) of x and y, closed or not.
        height: of the image.
        width: of the image.

    >>> square = np.array([[1, 0], [3, 0], [3, 2], [1, 2]])
    >>> patch = fill([square], 2, 4)
    >>> patch.mask.tolist(), patch.left, patch.top
    ([[True, True], [True, True]], 1, 0)
    """
    starts = [ring for ring in rings if len(ring) >= 3]
    if not starts:
        return nothing()
    ends = np.concatenate([np.roll(ring, -1, axis=0) for ring in starts]).astype(np.float64)
    begins = np.concatenate(starts).astype(np.float64)
    low, high = np.minimum(begins, ends).min(0), np.maximum(begins, ends).max(0)
    left, right = (
        int(np.clip(round_, 0, width)) for round_ in (np.floor(low[0]), np.ceil(high[0]))
    )
    top, bottom = (
        int(np.clip(round_, 0, height)) for round_ in (np.floor(low[1]), np.ceil(high[1]))
    )
    if left >= right or top >= bottom:
        return nothing()
    rows, columns = _crossings(begins - (left, top), ends - (left, top), bottom - top, right - left)
    wide = right - left + 1
    crossed = np.bincount(rows * wide + columns, minlength=(bottom - top) * wide)
    odd = np.cumsum(crossed.reshape(-1, wide)[:, :-1], axis=1) % 2 == 1
    return Patch(odd, left, top)


def _crossings(begins: Array, ends: Array, height: int, width: int) -> tuple[Array, Array]:
    """Row by row, the first pixel whose centre is right of where an edge crosses the row's middle.

    An edge crosses the middles from its upper end on, that included, to its lower end, that not:
    so a corner between two edges counts once.
    """
    upper, lower = np.minimum(begins[:, 1], ends[:, 1]), np.maximum(begins[:, 1], ends[:, 1])
    first = np.ceil(upper - 0.5).clip(0, height).astype(np.int64)
    last = np.ceil(lower - 0.5).clip(0, height).astype(np.int64)
    counts = (last - first).clip(min=0)
    edges = np.repeat(np.arange(len(counts)), counts)
    within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    rows = first[edges] + within
    (x, y), (dx, dy) = begins[edges].T, (ends - begins)[edges].T
    columns = np.ceil(x + (rows + 0.5 - y) * dx / dy - 0.5).clip(0, width).astype(np.int64)
    return rows, columns


def outline(points: Any, where: object) -> Array:
    """A ring of x and y as float32 (P, 2).

    Raises:
        UserError: it is none, or has a coordinate that no image has.
    """
    try:
        ring = np.asarray(points, np.float32).reshape(-1, 2)
    except (TypeError, ValueError):
        raise UserError(f"{where}: a polygon is no list of x and y: export it anew") from None
    if not (np.abs(ring) < _FAR).all():  # so that NaN is refused as well
        raise UserError(f"{where}: a polygon has a point that is no place in an image")
    return ring


class Shape(Protocol):
    """Anything with an area."""

    def patch(self, height: int, width: int) -> Patch:
        """Its pixels in an image of that size."""


@dataclass(frozen=True)
class Polygon:
    """An outline, and the holes in it: each float32 (P, 2) of x and y."""

    rings: Sequence[Array]

    def patch(self, height: int, width: int) -> Patch:
        """Its pixels."""
        return fill(self.rings, height, width)


@dataclass(frozen=True)
class Union:
    """An object of several parts."""

    parts: Sequence[Shape]

    def patch(self, height: int, width: int) -> Patch:
        """The pixels of any part."""
        return joined([part.patch(height, width) for part in self.parts])


def united(parts: Sequence[Shape]) -> Shape:
    """One shape of one or more."""
    return parts[0] if len(parts) == 1 else Union(tuple(parts))


def joined(patches: Sequence[Patch]) -> Patch:
    """The pixels of any of the patches."""
    patches = [patch for patch in patches if patch.mask.size]
    if len(patches) <= 1:
        return patches[0] if patches else nothing()
    left, top = min(patch.left for patch in patches), min(patch.top for patch in patches)
    right = max(patch.left + patch.mask.shape[1] for patch in patches)
    bottom = max(patch.top + patch.mask.shape[0] for patch in patches)
    mask = np.zeros((bottom - top, right - left), bool)
    for patch in patches:
        height, width = patch.mask.shape
        row, column = patch.top - top, patch.left - left
        mask[row : row + height, column : column + width] |= patch.mask
    return Patch(mask, left, top)


def rectangle(left: float, top: float, right: float, bottom: float, turned: float = 0.0) -> Polygon:
    """A box, perhaps turned by some degrees clockwise round its centre."""
    corners = np.array([(left, top), (right, top), (right, bottom), (left, bottom)], np.float64)
    return Polygon((turn(corners, corners.mean(0), turned),))


def ellipse(x: float, y: float, rx: float, ry: float, turned: float = 0.0) -> Polygon:
    """An ellipse round (x, y), as a polygon that is nowhere a fiftieth of a pixel off."""
    off = min(0.02 / max(abs(rx), abs(ry), 0.04), 0.5)
    angles = np.linspace(0, 2 * np.pi, max(16, math.ceil(np.pi / math.acos(1 - off))), False)
    points = np.stack([x + rx * np.cos(angles), y + ry * np.sin(angles)], axis=1)
    return Polygon((turn(points, np.array([x, y]), turned),))


def turn(points: Array, centre: Array, degrees: float) -> Array:
    """Points (P, 2) turned clockwise round a centre, as float32."""
    angle = math.radians(degrees)
    across = np.array([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])
    turned: Array = ((points - centre) @ across + centre).astype(np.float32)
    return turned
