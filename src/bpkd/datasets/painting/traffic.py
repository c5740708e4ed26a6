"""Who uses the street of an embedded scene: cars and people; and two things of no class.

Each function draws one object that stands on the ground at `foot = (x, y)`, `scale` being its
size on the picture (1: near). Inner texture (panes, wheels, stripes) has the object's own label.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from bpkd.datasets.painting import colours
from bpkd.datasets.painting.drawing import (
    Canvas,
    Point,
    box,
    ellipse,
    fraction,
    mix,
    polygon,
    stroke,
    tint,
    uniform,
)
from bpkd.datasets.painting.roadside import shadow


def car(canvas: Canvas, rng: np.random.Generator, foot: Point, scale: float) -> None:
    """A saloon, a hatchback or a van from its side, heading left or right."""
    length, way = uniform(rng, 24, 32) * scale, 1.0 if rng.random() < 0.5 else -1.0
    roof, back, front = uniform(rng, 0.44, 0.56), uniform(rng, 0.02, 0.18), uniform(rng, 0.6, 0.74)
    paint = tint(rng, colours.PAINTS)
    shadow(canvas, foot, 0.55 * length, 0.09 * length)
    window = canvas.window(
        foot[0] - 0.55 * length, foot[1] - 0.6 * length, foot[0] + 0.55 * length, foot[1] + 1
    )
    # In the car's own frame it is one long, drives towards +x and stands at y = 0.
    local = replace(
        window, x=(window.x - foot[0]) / length * way + 0.5, y=(window.y - foot[1]) / length
    )
    body = polygon(
        local, (0, -0.26), (0.05, -0.32), (0.9, -0.3), (0.99, -0.24), (1, -0.1), (0, -0.1)
    )
    cabin = polygon(local, (back, -0.3), (back + 0.08, -roof), (front, -roof), (front + 0.14, -0.3))
    panes = polygon(
        local,
        (back + 0.06, -0.31),
        (back + 0.11, 0.04 - roof),
        (front - 0.02, 0.04 - roof),
        (front + 0.08, -0.31),
    ) & (np.abs(local.x - (back + front) / 2 - 0.05) > 0.02)
    canvas.paint(window, body | cabin, paint, 1.12 + 0.8 * (local.y + 0.3), colours.CAR)
    canvas.paint(window, panes, mix(colours.GLASS, colours.WHITE, uniform(rng, 0.0, 0.5)))
    for x in (0.21, 0.79):
        canvas.paint(window, ellipse(local, (x, -0.1), 0.1, 0.1), colours.BLACK, 1.0, colours.CAR)
        canvas.paint(window, ellipse(local, (x, -0.1), 0.045, 0.045), (150.0, 150.0, 150.0))
    canvas.paint(window, ellipse(local, (0.96, -0.23), 0.03, 0.025), (250.0, 240.0, 180.0))
    canvas.paint(window, ellipse(local, (0.03, -0.25), 0.025, 0.025), (220.0, 40.0, 40.0))


def person(canvas: Canvas, rng: np.random.Generator, foot: Point, scale: float) -> None:
    """A walker: head, coat, two arms, two legs with the ground between them."""
    h, stride = uniform(rng, 17, 24) * scale, uniform(rng, 0.06, 0.14)
    x, y = foot
    shadow(canvas, foot, 0.22 * h, 0.06 * h)
    window = canvas.window(x - 0.35 * h, y - 1.05 * h, x + 0.35 * h, y + 0.5)
    limb = canvas.thick(0.085 * h)
    legs = stroke(window, (x - 0.03 * h, y - 0.45 * h), (x - stride * h, y - 0.02 * h), 1.2 * limb)
    legs |= stroke(window, (x + 0.03 * h, y - 0.45 * h), (x + stride * h, y - 0.02 * h), 1.2 * limb)
    canvas.paint(
        window, legs, tint(rng, [colours.GLASS, (110, 96, 80), colours.BLACK]), 1.0, colours.PERSON
    )
    coat, swing = tint(rng, colours.PAINTS), uniform(rng, 0.12, 0.2)
    torso = polygon(
        window,
        (x - 0.11 * h, y - 0.83 * h),
        (x + 0.11 * h, y - 0.83 * h),
        (x + 0.12 * h, y - 0.42 * h),
        (x - 0.12 * h, y - 0.42 * h),
    )
    for side in (-1.0, 1.0):
        shoulder, hand = (x + side * 0.1 * h, y - 0.78 * h), (x + side * swing * h, y - 0.46 * h)
        torso |= stroke(window, shoulder, hand, limb)
    canvas.paint(window, torso, coat, 1.0, colours.PERSON)
    head = ellipse(window, (x, y - 0.91 * h), 0.085 * h, 0.1 * h)
    canvas.paint(window, head, tint(rng, colours.SKIN), 1.0, colours.PERSON)
    canvas.paint(
        window, head & (window.y < y - 0.95 * h), tint(rng, [colours.BLACK, (120, 80, 40)])
    )


def balloon(canvas: Canvas, rng: np.random.Generator, centre: Point) -> None:
    """A striped hot-air balloon: none of the classes, so ignored."""
    (x, y), r = centre, uniform(rng, 6, 10)
    window = canvas.window(x - r, y - 1.2 * r, x + r, y + 2 * r)
    first, second = tint(rng, colours.PAINTS), tint(rng, colours.SIGNS)
    skin = ellipse(window, centre, r, 1.15 * r)
    skin |= polygon(
        window,
        (x - 0.8 * r, y + 0.7 * r),
        (x + 0.8 * r, y + 0.7 * r),
        (x + 0.2 * r, y + 1.4 * r),
        (x - 0.2 * r, y + 1.4 * r),
    )
    basket = box(window, x - 0.22 * r, y + 1.5 * r, x + 0.22 * r, y + 1.9 * r)
    canvas.paint(
        window, skin, first, 1.1 - 0.25 * (window.x - x + window.y - y) / r, colours.IGNORE
    )
    # Meridians: the stripes narrow towards the rim, as on a ball.
    bulge = np.sqrt(np.maximum(1.0 - (window.y - y) * (window.y - y) / (1.7 * r * r), 0.05))
    canvas.paint(window, skin & (fraction((window.x - x) / (r * bulge) * 2.5) < 0.5), second)
    canvas.paint(window, basket, (110.0, 76.0, 44.0), 1.0, colours.IGNORE)


def crate(canvas: Canvas, rng: np.random.Generator, foot: Point, scale: float) -> None:
    """A stack of goods under a cloth, of no class: ignored."""
    half, height = uniform(rng, 5, 9) * scale, uniform(rng, 8, 12) * scale
    (x, y), cut = foot, uniform(rng, 0.55, 0.95) * half
    shadow(canvas, foot, 1.2 * half, 0.25 * height)
    window = canvas.window(x - half, y - height, x + half, y)
    shape = polygon(
        window, (x - cut, y - height), (x + cut, y - height), (x + half, y), (x - half, y)
    )
    weave = fraction((window.x + window.y) / (3.0 * scale)) < 0.5
    cloth = tint(rng, colours.PAINTS)
    canvas.paint(window, shape, cloth, np.where(weave, 1.0, 0.75), colours.IGNORE)
