"""What every embedded scene stands on: sky, terrain and road; and the camera that takes it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bpkd.datasets.painting import colours
from bpkd.datasets.painting.drawing import (
    UNITS,
    Array,
    Canvas,
    Colour,
    Point,
    fraction,
    mix,
    tint,
    uniform,
)


class Street:
    """The road: it starts at a point of the horizon, bends, and widens towards the viewer."""

    def __init__(self, rng: np.random.Generator, width: float) -> None:
        self.horizon = uniform(rng, 44, 56)
        self.far, self.near = uniform(rng, 0.2, 0.8) * width, uniform(rng, 0.25, 0.75) * width
        self.bend, self.half = uniform(rng, -40, 40), uniform(rng, 24, 38)

    def depth(self, y: Array | float) -> Array | float:
        """0 at the horizon, 1 at the bottom edge."""
        return (y - self.horizon) / (UNITS - self.horizon)

    def across(self, x: Array | float, y: Array | float) -> Array:
        """Distance from the road's middle in half widths: within -1 and 1 on the road."""
        t = self.depth(y)
        middle = self.far + (self.near - self.far) * t + self.bend * t * (1.0 - t)
        return np.asarray((x - middle) / (1.5 + self.half * t))

    def beside(self, rng: np.random.Generator, y: float, reach: float) -> Point:
        """A foot on the ground at y, off the road by up to `reach` units."""
        start, half = -float(self.across(0.0, y)), 1.5 + self.half * float(self.depth(y))
        side = -1.0 if rng.random() < 0.5 else 1.0
        return (start + side) * half + side * uniform(rng, 1.0, reach), y


def paint_sky(canvas: Canvas, rng: np.random.Generator) -> Colour:
    """A gradient with clouds over the whole frame; returns the colour of the haze below."""
    high, low = colours.SKIES[int(rng.random() * len(colours.SKIES))]
    window, cover, offset = canvas.whole(), uniform(rng, 0.1, 0.75), uniform(rng, 0, 32)
    cloud = 0.65 * canvas.noise(window, (19, 7), offset) + 0.35 * canvas.noise(
        window, (6, 2.6), offset
    )
    cloud = cover * np.clip(4.0 * (cloud - uniform(rng, 0.42, 0.6)), 0.0, 1.0)
    fall = np.minimum(window.y / 54.0, 1.0)
    for channel, top, bottom in zip(canvas.image, high, low, strict=True):
        base = top + (bottom - top) * fall
        channel[...] = base + (246.0 - base) * cloud
    canvas.labels[...] = colours.SKY
    return low


def paint_terrain(canvas: Canvas, rng: np.random.Generator, street: Street, haze: Colour) -> None:
    """Two hazy ridges, then the meadow: one class, three colours."""
    grass, offset = tint(rng, colours.GRASS), uniform(rng, 0, 32)
    for order, distance in enumerate((0.62, 0.36)):
        rise, cell = uniform(rng, 5, 20 - 8 * order), uniform(rng, 16, 30)
        window = canvas.whole(street.horizon - 24)
        ridge = canvas.noise(window, (cell, 1), offset + 5 * order, y=0.0)
        ridge = 0.85 * ridge + 0.15 * canvas.noise(window, (0.2 * cell, 1), offset, y=7.0)
        shade = 0.86 + 0.28 * canvas.noise(window, (3.2, 1.8), offset + order)
        colour = mix(tint(rng, [*colours.GRASS, *colours.LEAVES]), haze, distance)
        above = street.horizon + 2 - window.y < rise * ridge * 1.4
        canvas.paint(window, above, colour, shade, colours.TERRAIN)
    window = canvas.whole(street.horizon - 2)
    edge = street.horizon - 1.5 * canvas.noise(window, (20, 1), offset, y=3.0)
    blades = (
        canvas.noise(window, (1.3, 1.1), offset) - 0.5 + canvas.noise(window, (11, 4), offset) - 0.5
    )
    shade = 0.98 + 0.26 * blades
    canvas.paint(window, window.y >= edge, grass, shade, colours.TERRAIN)


def paint_road(canvas: Canvas, rng: np.random.Generator, street: Street) -> None:
    """Asphalt with edge lines and a dashed middle line, all of class road."""
    window = canvas.whole(street.horizon)
    across, depth = street.across(window.x, window.y), street.depth(window.y)
    shade = 0.93 + 0.14 * canvas.noise(window, (1.2, 0.9), 11.0)
    asphalt = tint(rng, colours.ASPHALT)
    on_road = (np.abs(across) <= 1.0) & (window.y >= street.horizon)
    canvas.paint(window, on_road, asphalt, shade, colours.ROAD)
    # 1 / depth is the distance along the ground: dashes of one length shrink with it.
    along = 3.0 / (depth + 0.12) + rng.random()
    lines = (np.abs(across) < 0.035) & (fraction(np.asarray(along)) < 0.5)
    if rng.random() < 0.7:
        lines |= np.abs(np.abs(across) - 0.88) < 0.025
    canvas.paint(window, lines & on_road, colours.WHITE, 0.96 * shade)


def expose(canvas: Canvas, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Light, lens and sensor: a cast, a gradient, contrast, a slight blur, noise; whole numbers."""
    light, blur, contrast = (
        tint(rng, colours.LIGHTS, 0.03),
        uniform(rng, 0.3, 1.0),
        uniform(rng, 0.65, 1.05),
    )
    grain, tilt, fall = uniform(rng, 6, 20), uniform(rng, -0.2, 0.2), uniform(rng, -0.15, 0.1)
    window = canvas.whole()
    gradient = 1.0 + tilt * (window.x / canvas.width - 0.5) + fall * (window.y / UNITS - 0.5)
    # The difference of two bytes: a triangular noise from -255 to 255.
    noise = rng.integers(0, 256, (2, *canvas.image.shape), dtype=np.uint8).astype(np.int16)
    exposed = np.empty(canvas.image.shape, dtype=np.uint8)
    for sharp, gain, first, second, out in zip(canvas.image, light, *noise, exposed, strict=True):
        channel = sharp + (soften(sharp) - sharp) * blur
        channel *= gradient * gain
        channel += (contrast - 1.0) * (channel - 128.0)
        channel += (first - second) * (grain / 256.0)
        np.floor(channel + 0.5, out=channel)
        out[...] = np.clip(channel, 0.0, 255.0)
    return exposed


def soften(channel: Array) -> Array:
    """Blur one channel with the weights 1, 2, 1 in both directions; the frame repeats itself.

    >>> soften(np.array([[0.0, 0.0, 16.0], [0.0, 0.0, 0.0], [0.0, 0.0, 0.0]])).tolist()
    [[0.0, 3.0, 9.0], [0.0, 1.0, 3.0], [0.0, 0.0, 0.0]]
    """
    padded = np.pad(channel, 1, mode="edge")
    rows = padded[:-2] + 2.0 * padded[1:-1] + padded[2:]
    soft: Array = (rows[:, :-2] + 2.0 * rows[:, 1:-1] + rows[:, 2:]) / 16.0
    return soft
