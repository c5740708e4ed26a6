"""What lines the street of an embedded scene: houses, trees, fences, lamps and signs.

Each function draws one object that stands on the ground at `foot = (x, y)`, `scale` being its
size on the picture (1: near). Inner texture (windows, tiles, rims) has the object's own label.
"""

from __future__ import annotations

import numpy as np

from bpkd.datasets.painting import colours
from bpkd.datasets.painting.drawing import (
    Array,
    Canvas,
    Mask,
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


def shadow(canvas: Canvas, foot: Point, rx: float, ry: float) -> None:
    """The soft dark patch under an object; it changes no label."""
    for factor in (1.0, 0.7):
        window = canvas.window(foot[0] - rx, foot[1] - ry, foot[0] + rx, foot[1] + ry)
        canvas.darken(window, ellipse(window, foot, rx * factor, ry * factor), 0.8)


def building(canvas: Canvas, rng: np.random.Generator, foot: Point, scale: float) -> None:
    """A house with a lit and a shaded wall, rows of windows, a flat or a pointed roof."""
    half, height = uniform(rng, 10, 26) * scale, uniform(rng, 18, 50) * scale
    left, right, top = foot[0] - half, foot[0] + half, foot[1] - height
    peak = uniform(rng, 6, 13) * scale if rng.random() < 0.55 else 0.0
    wall, corner = tint(rng, colours.WALLS), left + 2 * half * uniform(rng, 0.55, 1.0)
    window = canvas.window(left - 2, top - peak, right + 2, foot[1])
    walls = box(window, left, top, right, foot[1])
    shade = np.where(window.x < corner, 1.0, 0.74) * (
        0.93 + 0.14 * canvas.noise(window, (2, 1), 3.0)
    )
    canvas.paint(window, walls, wall, shade, colours.BUILDING)
    u = (window.x - left) / uniform(rng, 5.0, 7.5) / scale
    v = (window.y - top) / uniform(rng, 6.5, 9.0) / scale
    frame = (fraction(u) > 0.3) & (fraction(u) < 0.78) & (fraction(v) > 0.32) & (fraction(v) < 0.8)
    lit = canvas.noise.cells(u + np.floor(left), v) < 0.25
    panes = frame & walls & (window.x < right - scale) & (window.y < foot[1] - 2 * scale)
    canvas.paint(window, panes, colours.GLASS)
    canvas.paint(window, panes & lit, (236.0, 206.0, 130.0))
    roof = tint(rng, colours.ROOFS)
    if peak:
        ridge = (uniform(rng, left + half * 0.5, right - half * 0.5), top - peak)
        gable = polygon(window, (left - 1.5, top), ridge, (right + 1.5, top))
        tiles = 0.88 + 0.24 * (fraction(window.y / (2.4 * scale)) > 0.5) * np.ones_like(window.x)
        canvas.paint(window, gable, roof, tiles, colours.BUILDING)
    else:
        canvas.paint(window, box(window, left, top, right, top + 1.6 * scale), roof)


def tree(canvas: Canvas, rng: np.random.Generator, foot: Point, scale: float) -> None:
    """A trunk under a ragged crown of discs, or under the saw-toothed cone of a fir."""
    height, leaves = uniform(rng, 26, 42) * scale, tint(rng, colours.LEAVES)
    reach, top = height * uniform(rng, 0.26, 0.4), foot[1] - height
    shadow(canvas, foot, reach, 2.4 * scale)
    window = canvas.window(foot[0] - 1.5 * reach, top - 4, foot[0] + 1.5 * reach, foot[1] + 1)
    trunk = stroke(window, foot, (foot[0], top + 0.4 * height), canvas.thick(2.6 * scale))
    canvas.paint(window, trunk, tint(rng, [(96, 72, 52), (70, 56, 48)]), 1.0, colours.TREE)
    rough = canvas.noise(window, (2.2, 2.2), foot[0])
    if rng.random() < 0.35:
        down = (window.y - top) / (0.85 * height)
        half = reach * (0.75 * down + 0.3 * fraction(down * 4.0)) * (0.8 + 0.4 * rough)
        crown = (np.abs(window.x - foot[0]) <= half) & (down >= 0) & (down <= 1)
    else:
        crown = np.zeros(rough.shape, dtype=np.bool_)
        for _ in range(5):
            centre = (
                foot[0] + uniform(rng, -0.6, 0.6) * reach,
                top + uniform(rng, 0.2, 0.55) * height,
            )
            radius = uniform(rng, 0.5, 0.8) * reach
            u, v = (window.x - centre[0]) / radius, (window.y - centre[1]) / radius
            crown |= u * u + v * v + 0.7 * (rough - 0.5) <= 0.95
    side = (window.x - foot[0]) / reach + (window.y - top) / height
    shade = 1.05 - 0.22 * side + 0.55 * (canvas.noise(window, (1.6, 1.6), foot[0] + 7.0) - 0.5)
    canvas.paint(window, crown, leaves, shade, colours.TREE)


def fence(canvas: Canvas, rng: np.random.Generator, foot: Point, scale: float) -> None:
    """A slightly sloping run of pickets, crossed laths or rails; one sees through it."""
    half, height = uniform(rng, 18, 38) * scale, uniform(rng, 9, 13) * scale
    slope, kind = uniform(rng, -0.12, 0.12), int(rng.random() * 3)
    drop = half * abs(slope) + 1
    window = canvas.window(foot[0] - half, foot[1] - height - drop, foot[0] + half, foot[1] + drop)
    x = window.x - foot[0]
    up = (foot[1] + slope * x - window.y) / height
    bar, gap = canvas.thick(uniform(rng, 1.3, 1.9) * scale), uniform(rng, 4.6, 6.4) * scale

    def bars(position: Array, period: float, width: float) -> Mask:
        return fraction(position / period) * period < width

    rails = (np.abs(up - 0.75) * height < bar / 2) | (np.abs(up - 0.3) * height < bar / 2)
    if kind == 0:
        mask = bars(x, gap, bar) | rails
    elif kind == 1:
        rise = up * height
        period = 1.5 * gap
        mask = bars(x + rise, period, 1.3 * bar) | bars(x - rise, period, 1.3 * bar)
        mask |= np.abs(up - 0.96) * height < bar / 2
    else:
        mask = bars(x, 2.6 * gap, 1.3 * bar) | rails | (np.abs(up - 0.95) * height < bar / 2)
    shade = 1.0 + 0.12 * slope * x / half + 0.16 * up
    mask &= (up >= 0) & (up <= 1.05) & (np.abs(x) <= half)
    canvas.paint(window, mask, tint(rng, colours.WOOD), shade, colours.FENCE)


def pole(canvas: Canvas, rng: np.random.Generator, foot: Point, scale: float) -> None:
    """A street lamp: a thin, slightly leaning pole, an arm, a lamp."""
    height, lean = uniform(rng, 38, 58) * scale, uniform(rng, -1.5, 1.5)
    width, reach = canvas.thick(uniform(rng, 1.2, 2.8) * scale), uniform(rng, 5, 9) * scale
    top, arm = (foot[0] + lean, foot[1] - height), -reach if rng.random() < 0.5 else reach
    tip = (top[0] + arm, top[1] - 1.5 * scale)
    window = canvas.window(foot[0] - reach - 4, tip[1] - 2, foot[0] + reach + 4, foot[1])
    mask = stroke(window, foot, top, width)
    if rng.random() < 0.7:
        mask |= stroke(window, top, tip, canvas.thick(0.7 * width))
        mask |= ellipse(window, tip, 2.4 * scale, canvas.thick(1.3 * scale))
    canvas.paint(window, mask, tint(rng, colours.METAL), 1.0, colours.POLE)


def sign(canvas: Canvas, rng: np.random.Generator, foot: Point, scale: float) -> None:
    """A disc, a triangle or a turned square with a rim, on its own thin pole."""
    height, radius = uniform(rng, 20, 30) * scale, uniform(rng, 4.4, 6.4) * scale
    x, y = centre = (foot[0], foot[1] - height)
    window = canvas.window(x - 1.5 * radius, y - 1.5 * radius, x + 1.5 * radius, foot[1])
    post = stroke(window, centre, foot, canvas.thick(1.3 * scale))
    canvas.paint(window, post, tint(rng, colours.METAL), 1.0, colours.POLE)
    rim, kind, turn = tint(rng, colours.SIGNS, 8.0), int(rng.random() * 3), uniform(rng, 0.0, 1.0)
    # The rational points of the circle stand in for the cosine and the sine of a turn.
    cos, sin = (1 - turn * turn) / (1 + turn * turn), 2 * turn / (1 + turn * turn)
    inner, face = (
        (colours.WHITE, rim) if rng.random() < 0.7 else (rim, mix(rim, colours.BLACK, 0.4))
    )
    for colour, r in ((face, radius), (inner, 0.62 * radius)):
        if kind == 0:
            mask = ellipse(window, centre, r, r)
        elif kind == 1:
            mask = polygon(
                window, (x, y - 1.15 * r), (x + 1.1 * r, y + 0.75 * r), (x - 1.1 * r, y + 0.75 * r)
            )
        else:
            u, v = r * cos * 1.1, r * sin * 1.1
            mask = polygon(window, (x + u, y + v), (x - v, y + u), (x - u, y - v), (x + v, y - u))
        canvas.paint(window, mask, colour, 1.0, colours.SIGN)
