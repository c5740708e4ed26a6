"""Training curves: what a run's tables hold, as lines."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bpkd.errors import UserError
from bpkd.report.html.axes import Axis, axis
from bpkd.runs.tables import read_rows

#: So many points of a line can be seen.
_POINTS = 240
#: So many are shown one by one.
_DOTS = 40
#: A chart's width and height, and the room for numbers left, below, above and right of it.
WIDTH, HEIGHT, LEFT, BELOW, ABOVE, RIGHT = 360, 220, 46, 26, 10, 12
#: Columns of ``metrics.csv`` -> what they are called.
_SCORES = {
    "mIoU": "mIoU, %",
    "trimap_mIoU@{width}": "trimap mIoU at {width} px, %",
    "boundary_mIoU": "boundary IoU, %",
    "mAcc": "mAcc, %",
    "AP": "AP, %",
    "AP50": "AP50, %",
    "APs": "AP small, %",
    "APm": "AP medium, %",
    "APl": "AP large, %",
    "boundary_AP": "boundary AP, %",
}
#: Columns of ``training.csv`` that are shown first: the student's own loss, and all of it.
_LOSSES = tuple(f"training/loss/{name}" for name in ("segmentation", "mask", "category"))

#: A run's curves: of a column, iteration and value.
Curves = dict[str, list[tuple[int, float]]]


@dataclass
class Line:
    """A run in a chart.

    Attributes:
        name: of the run.
        colour: its number.
        points: x and y in the chart's units, as SVG takes them.
        dots: x, y, and the text of each point, where these are few.
        last: the last value, as text.
    """

    name: str
    colour: int
    points: str
    dots: list[tuple[float, float, str]]
    last: str


@dataclass
class Chart:
    """Lines over iterations."""

    title: str
    lines: list[Line]
    x: Axis
    y: Axis


def read_curves(run: Path) -> Curves:
    """What a run's ``training.csv`` and ``metrics.csv`` hold; nothing where there are none yet.

    Raises:
        UserError: a table is damaged.
    """
    found: Curves = {}
    for name, prefix in (("training.csv", "training"), ("metrics.csv", "val")):
        file = run / name
        for row in read_rows(file) if file.is_file() else []:
            iteration = int(row.pop("iteration"))
            for column, text in row.items():
                if value := _number(text, file, iteration, column):
                    found.setdefault(f"{prefix}/{column}", []).append((iteration, value[0]))
    return found


def _number(text: str, file: Path, iteration: int, column: str) -> tuple[float] | None:
    """A cell's number; None where there is none that could be drawn."""
    try:
        value = float(text or "nan")
    except ValueError:
        raise UserError(
            f"{file} is damaged: iteration {iteration}, {column}: {text!r} is no number; put back "
            "a whole copy of it, or mend that line"
        ) from None
    return (value,) if math.isfinite(value) else None


def charts(runs: Sequence[tuple[str, int, Curves]], width: int) -> tuple[list[Chart], list[Chart]]:
    """The charts that are looked at first, and the others.

    Args:
        runs: name, number of its colour, and curves of each.
        width: of the trimap band that is shown, in pixels.
    """
    scores = {f"val/{k.format(width=width)}": v.format(width=width) for k, v in _SCORES.items()}
    names = list(dict.fromkeys(name for *_, curves in runs for name in curves))
    losses = [name for name in names if name.startswith("training/loss")]
    first = [*scores, *_LOSSES, "training/loss"]
    rest = [*losses, "training/lr"]
    titles: Mapping[str, str] = {
        **{name: name.removeprefix("training/") for name in names},
        **{name: f"validation: {title}" for name, title in scores.items()},
        "training/lr": "learning rate",
    }
    return tuple(  # type: ignore[return-value]
        [_chart(titles[name], name, runs) for name in group if name in names]
        for group in (first, [name for name in rest if name not in first])
    )


def _chart(title: str, name: str, runs: Sequence[tuple[str, int, Curves]]) -> Chart:
    scale = 100 if name.startswith("val/") else 1
    lines = [
        (run, colour, [(i, scale * value) for i, value in thinned(curves[name], _POINTS)])
        for run, colour, curves in runs
        if name in curves
    ]
    xs = [x for *_, points in lines for x, _ in points]
    ys = [y for *_, points in lines for _, y in points]
    across = axis([0, *xs], LEFT, WIDTH - RIGHT)
    down = axis(ys, HEIGHT - BELOW, ABOVE, log=scale == 1)
    return Chart(title, [_line(*line, across, down) for line in lines], across, down)


def _line(
    name: str, colour: int, points: Sequence[tuple[float, float]], across: Axis, down: Axis
) -> Line:
    places = [(across.place(x), down.place(y)) for x, y in points]
    dots = [
        (*place, f"{name}, iteration {x:.0f}: {y:.4g}")
        for place, (x, y) in zip(places, points, strict=True)
    ]
    shown = " ".join(f"{x:g},{y:g}" for x, y in places)
    return Line(name, colour, shown, dots if len(dots) <= _DOTS else [], f"{points[-1][1]:.3g}")


def thinned(points: Sequence[tuple[int, float]], most: int) -> list[tuple[float, float]]:
    """At most so many points, each the mean of its neighbours.

    Example:
        >>> thinned([(1, 4.0), (2, 6.0), (3, 1.0), (4, 2.0)], most=2)
        [(1.5, 5.0), (3.5, 1.5)]
        >>> thinned([(1, 4.0)], most=2)
        [(1, 4.0)]
    """
    if len(points) <= most:
        return list(points)
    parts = (points[len(points) * k // most : len(points) * (k + 1) // most] for k in range(most))
    return [(sum(x for x, _ in p) / len(p), sum(y for _, y in p) / len(p)) for p in parts]
