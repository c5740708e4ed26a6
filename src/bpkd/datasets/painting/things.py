"""The objects of the instance scenes: five kinds of shape, in any colour, turned and stretched.

A shape is drawn in its own frame, in which it reaches from -1 to 1 along its greatest extent. The
kinds differ in shape and in the pattern on them, never in colour.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from bpkd.datasets.painting import colours
from bpkd.datasets.painting.drawing import (
    Array,
    Canvas,
    Colour,
    Mask,
    Point,
    Window,
    box,
    ellipse,
    fraction,
    polygon,
    stroke,
    tint,
    uniform,
)


@dataclass(frozen=True)
class Pose:
    """Where an object is: centre, half of its greatest extent, direction (a unit vector), slimness.

    Attributes:
        slim: extent across over extent along, at most 1.
    """

    centre: Point
    half: float
    way: Point
    slim: float

    def window(self, canvas: Canvas) -> Window:
        """The pixels that the object may have, with x and y in the object's own frame."""
        (x, y), (c, s) = self.centre, self.way
        window = canvas.window(x - self.half, y - self.half, x + self.half, y + self.half)
        u, v = (window.x - x) / self.half, (window.y - y) / self.half
        return replace(window, x=u * c + v * s, y=v * c - u * s)


def direction(rng: np.random.Generator) -> Point:
    """A unit vector, each direction as likely as any, by square roots alone."""
    while True:
        x, y = uniform(rng, -1, 1), uniform(rng, -1, 1)
        if 0.01 < (square := x * x + y * y) <= 1:
            length = math.sqrt(square)
            return x / length, y / length


def pill(local: Window, slim: float) -> tuple[Mask, Array]:
    """An ellipse with bands along it."""
    return ellipse(local, (0.0, 0.0), 1.0, slim), _bands(local.x * 2.5)


def plate(local: Window, slim: float) -> tuple[Mask, Array]:
    """A rectangle in squares of two shades; its corners, not its sides, are 1 from the middle."""
    along = 1.0 / math.sqrt(1.0 + slim * slim)
    squares = np.floor(local.x * 3.0) + np.floor(local.y * 3.0)
    return box(local, -along, -along * slim, along, along * slim), _bands(squares * 0.5)


def star(local: Window, slim: float) -> tuple[Mask, Array]:
    """Four rays, bright in the middle: not convex."""
    waist = 0.3 * slim
    rays = polygon(local, (-1.0, 0.0), (0.0, -waist), (1.0, 0.0), (0.0, waist))
    rays |= polygon(local, (0.0, -slim), (waist, 0.0), (0.0, slim), (-waist, 0.0))
    return rays, 1.15 - 0.5 * (local.x * local.x + local.y * local.y)


def ring(local: Window, slim: float) -> tuple[Mask, Array]:
    """A band round a hole, so its middle is no part of it."""
    outer = ellipse(local, (0.0, 0.0), 1.0, slim)
    inner = ellipse(local, (0.0, 0.0), 0.55, 0.55 * slim)
    return outer & ~inner, 0.85 + 0.3 * (local.x + 1.0) / 2.0


def hook(local: Window, slim: float) -> tuple[Mask, Array]:
    """A thick line with two bends, dotted along its length."""
    width = 0.55 * slim
    end = 1.0 - 0.5 * width
    rise = 0.5 * slim
    shape = stroke(local, (-end, rise), (-0.35, -rise), width)
    shape |= stroke(local, (-0.35, -rise), (0.3, rise), width)
    shape |= stroke(local, (0.3, rise), (end, -rise), width)
    round_one = local.x * local.x + local.y * local.y <= 1.0
    return shape & round_one, _bands(local.x * 5.0 + local.y * 2.0)


Shape = Callable[[Window, float], tuple[Mask, Array]]
# In the order of the labels.
SHAPES: dict[str, Shape] = {"pill": pill, "plate": plate, "star": star, "ring": ring, "hook": hook}


def paint_ground(canvas: Canvas, rng: np.random.Generator) -> Colour:
    """Soft patches of two colours over the whole frame, and a fine grain."""
    first, second = (tint(rng, [*colours.WALLS, *colours.GRASS, *colours.METAL]) for _ in range(2))
    window, offset = canvas.whole(), uniform(rng, 0, 32)
    patches = 0.7 * canvas.noise(window, (25, 18), offset) + 0.3 * canvas.noise(
        window, (6, 6), offset
    )
    grain = 0.9 + 0.2 * canvas.noise(window, (1.3, 1.3), offset)
    for channel, low, high in zip(canvas.image, first, second, strict=True):
        channel[...] = (low + (high - low) * patches) * grain
    return first


def paint_plank(canvas: Canvas, rng: np.random.Generator, pose: Pose, colour: Colour) -> Plan:
    """A bar of the ground's kind across an object, which it splits; it is no instance."""
    c, s = pose.way
    lean = uniform(rng, -0.5, 0.5)
    norm = math.sqrt(1.0 + lean * lean)
    across = ((-s + lean * c) / norm, (c + lean * s) / norm)
    shift = uniform(rng, -0.35, 0.35) * pose.half
    centre = (pose.centre[0] + shift * c, pose.centre[1] + shift * s)
    reach = 1.2 * pose.half
    width = uniform(rng, 0.12, 0.3) * pose.half
    ends = [(centre[0] + k * reach * across[0], centre[1] + k * reach * across[1]) for k in (-1, 1)]
    xs, ys = zip(*ends, strict=True)
    window = canvas.window(min(xs) - width, min(ys) - width, max(xs) + width, max(ys) + width)
    grain = 0.85 + 0.3 * canvas.noise(window, (4.0, 1.5), uniform(rng, 0, 32))
    return Plan(window, stroke(window, ends[0], ends[1], width), colour, grain)


@dataclass(frozen=True)
class Plan:
    """What would be painted: where, which pixels, in which colour and shade."""

    window: Window
    mask: Mask
    colour: Colour
    shade: Array

    def paint(self, canvas: Canvas, label: int) -> None:
        """Do it, with a label for the pixels."""
        canvas.paint(self.window, self.mask, self.colour, self.shade, label)


def plan_thing(canvas: Canvas, rng: np.random.Generator, kind: str, pose: Pose) -> Plan:
    """An object of a kind of :data:`SHAPES` at a pose."""
    local = pose.window(canvas)
    mask, pattern = SHAPES[kind](local, pose.slim)
    light = 1.0 - 0.2 * (local.x + local.y)
    paint = tint(rng, [*colours.PAINTS, *colours.SIGNS, *colours.WALLS])
    return Plan(local, mask, paint, pattern * light)


def _bands(values: Array) -> Array:
    return np.where(fraction(values) < 0.5, 1.15, 0.85)
