"""Shapes and textures on a pixel grid, the same bits on every machine.

Only float64 `+ - * /`, square roots, comparisons and `floor` touch a pixel: IEEE 754 fixes the
result of each, which it does not for sin, exp or pow, nor for a library's line drawing. Lengths
are in *units*: an image is always `UNITS` units high, whatever its number of rows, so the same
scene can be drawn at every resolution.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]
Colour = tuple[float, float, float]
Point = tuple[float, float]

UNITS = 96.0
_TILE = 32  # a power of two, so that a bit mask wraps an index, negative ones too
_WRAP = _TILE - 1


def uniform(rng: np.random.Generator, low: float, high: float) -> float:
    """A uniform draw from [low, high)."""
    return low + (high - low) * rng.random()


def tint(rng: np.random.Generator, colours: Sequence[Colour], spread: float = 14.0) -> Colour:
    """A colour somewhere between two of `colours`, each channel off by up to `spread`."""
    first, second, share, *shift = rng.random(6).tolist()
    base = mix(colours[int(first * len(colours))], colours[int(second * len(colours))], share)
    red, green, blue = (a + spread * (2.0 * b - 1.0) for a, b in zip(base, shift, strict=True))
    return red, green, blue


def mix(first: Colour, second: Colour, share: float) -> Colour:
    """`first` moved towards `second`.

    >>> mix((0.0, 0.0, 0.0), (100.0, 40.0, 20.0), 0.5)
    (50.0, 20.0, 10.0)
    """
    red, green, blue = (a + (b - a) * share for a, b in zip(first, second, strict=True))
    return red, green, blue


def fraction(values: Array) -> Array:
    """The part after the point: 0 <= result < 1, for negative values too.

    >>> fraction(np.array([1.25, -0.25]))
    array([0.25, 0.75])
    """
    return values - np.floor(values)


class Noise:
    """Smooth random values in [0, 1): a square tile of draws, repeated and interpolated.

    Args:
        rng: Source of the tile's values.
    """

    def __init__(self, rng: np.random.Generator) -> None:
        self.tile = rng.random((_TILE, _TILE))

    def __call__(
        self, window: Window, cell: Point, offset: float = 0.0, y: Array | float | None = None
    ) -> Array:
        """The noise over a window, (rows, columns); one row where `y` is a number.

        Args:
            window: Where.
            cell: Width and height in units of the squares between two independent values.
            offset: Shifts the tile, so that two uses do not look alike.
            y: Ordinates to use in place of the window's.
        """
        ordinates = np.atleast_2d(window.y if y is None else y)
        top, bottom, down = _lattice(ordinates[:, 0] / cell[1] + offset)
        left, right, across = _lattice(window.x[0] / cell[0] + offset * 1.7)
        rows = self.tile[top] + (self.tile[bottom] - self.tile[top]) * down[:, None]
        start: Array = rows.take(left, axis=1)
        values: Array = rows.take(right, axis=1)
        values -= start
        values *= across
        values += start
        return values

    def cells(self, u: Array, v: Array) -> Array:
        """One constant value for each cell (floor(v), floor(u)) of a lattice."""
        rows = np.floor(v).astype(np.int64) & _WRAP
        values: Array = self.tile[rows, np.floor(u).astype(np.int64) & _WRAP]
        return values


def _lattice(t: Array) -> tuple[NDArray[np.int64], NDArray[np.int64], Array]:
    """The tile's index before and after each t, and the smooth weight of the second."""
    start = np.floor(t)
    part = t - start
    index = start.astype(np.int64)
    return index & _WRAP, (index + 1) & _WRAP, part * part * (3.0 - 2.0 * part)


@dataclass(frozen=True)
class Window:
    """A rectangle of pixels: its slices, and the centres' x (1, columns) and y (rows, 1)."""

    rows: slice
    columns: slice
    x: Array
    y: Array


class Canvas:
    """An image and its label map, painted together.

    Args:
        size: Rows and columns.
        rng: Source of the noise that textures are made of.

    >>> canvas = Canvas((4, 4), np.random.default_rng(0))
    >>> window = canvas.window(0, 0, 40, 96)  # a pixel is 24 units wide
    >>> canvas.paint(window, window.y > 48, (200.0, 0.0, 0.0), label=1)
    >>> canvas.labels.tolist()
    [[0, 0, 0, 0], [0, 0, 0, 0], [1, 1, 0, 0], [1, 1, 0, 0]]
    """

    def __init__(self, size: tuple[int, int], rng: np.random.Generator) -> None:
        self.noise = Noise(rng)
        self.pixel = UNITS / size[0]
        self.width = size[1] * self.pixel
        self.image = np.zeros((3, *size))
        self.labels = np.zeros(size, dtype=np.uint8)
        self._x: Array = (np.arange(size[1], dtype=np.float64) + 0.5) * self.pixel
        self._y: Array = (np.arange(size[0], dtype=np.float64) + 0.5) * self.pixel

    def window(self, x0: float, y0: float, x1: float, y1: float) -> Window:
        """The pixels of a rectangle given in units, cut at the frame (possibly none)."""
        rows, columns = self._span(y0, y1, len(self._y)), self._span(x0, x1, len(self._x))
        return Window(rows, columns, self._x[None, columns], self._y[rows, None])

    def _span(self, low: float, high: float, count: int) -> slice:
        start = min(max(int(low / self.pixel), 0), count)
        return slice(start, max(min(int(high / self.pixel) + 1, count), start))

    def whole(self, top: float = 0.0) -> Window:
        """Everything below `top`."""
        return self.window(0.0, top, self.width, UNITS)

    def paint(
        self,
        window: Window,
        mask: Mask,
        colour: Colour,
        shade: Array | float = 1.0,
        label: int | None = None,
    ) -> None:
        """Give the mask's pixels `colour * shade`, and `label` unless it is None."""
        paint = np.array(colour).reshape(3, 1, 1) * shade
        np.copyto(self.image[:, window.rows, window.columns], paint, where=mask)
        if label is not None:
            np.copyto(self.labels[window.rows, window.columns], np.uint8(label), where=mask)

    def darken(self, window: Window, mask: Mask, factor: float) -> None:
        """Multiply the mask's pixels by `factor`: a cast shadow."""
        self.image[:, window.rows, window.columns] *= np.where(mask, factor, 1.0)

    def thick(self, width: float) -> float:
        """`width`, or one pixel where that is more: nothing breaks up at a low resolution."""
        return max(width, self.pixel)


def box(window: Window, x0: float, y0: float, x1: float, y1: float) -> Mask:
    """The pixels of an upright rectangle."""
    return (window.x >= x0) & (window.x < x1) & (window.y >= y0) & (window.y < y1)


def ellipse(window: Window, centre: Point, rx: float, ry: float) -> Mask:
    """The pixels of an upright ellipse with half axes rx and ry."""
    u, v = (window.x - centre[0]) / rx, (window.y - centre[1]) / ry
    return u * u + v * v <= 1.0


def polygon(window: Window, *corners: Point) -> Mask:
    """The pixels of a convex polygon, its corners clockwise as seen (y points down)."""
    starts = np.array(corners, dtype=np.float64)
    x, y = starts.T[:, :, None, None]
    dx, dy = (np.concatenate((starts[1:], starts[:1])) - starts).T[:, :, None, None]
    mask: Mask = ((window.y - y) * dx >= (window.x - x) * dy).all(axis=0)
    return mask


def stroke(window: Window, start: Point, end: Point, width: float) -> Mask:
    """The pixels within width / 2 of a segment."""
    dx, dy = end[0] - start[0], end[1] - start[1]
    x, y = window.x - start[0], window.y - start[1]
    along = (x * dx + y * dy) / (dx * dx + dy * dy)
    along = np.minimum(np.maximum(along, 0.0), 1.0)
    x, y = x - along * dx, y - along * dy
    return x * x + y * y <= width * width / 4.0
