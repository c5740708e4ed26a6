"""Where runs are wrong, as curves: by distance, by thickness, beside the teacher, by confidence."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from bpkd.metrics.outline_errors import DISTANCES, THICKNESSES
from bpkd.report.analysis import ZONES, Analysis, by_quantity
from bpkd.report.figures.trimap import COLOURS


def analysis_figure(found: Sequence[Analysis]) -> Figure:
    """Four panels: wrong by distance and by thickness, agreement with the teacher, calibration.

    Args:
        found: of several methods; a colour each.
    """
    figure = Figure(figsize=(11, 7), layout="constrained")
    distance, thickness, agree, calibration = figure.subplots(2, 2).flat
    for place, one in enumerate(found):
        colour, numbers = COLOURS[place % len(COLOURS)], by_quantity(one)
        _curve(distance, DISTANCES, numbers, ("distance", "wrong"), colour, label=one.name)
        _curve(thickness, THICKNESSES, numbers, ("thickness", "wrong"), colour)
        if one.taught:
            _curve(agree, DISTANCES, numbers, ("distance", "agree"), colour)
        for zone, style in enumerate(("-", ":")):
            pixels, sums, right = one.errors.confidence[zone].double().unbind(dim=1)
            some = (pixels > 0).numpy()
            x, y = ((part / pixels).numpy()[some] for part in (sums, right))
            calibration.plot(100 * x, 100 * y, style, color=colour, marker=".")
    _name(distance, "distance to the outline, px", "wrong, %")
    _name(thickness, "thickness of the object, px", "wrong, %")
    _name(agree, "distance to the outline, px", "agrees with its teacher, %")
    calibration.plot([0, 100], [0, 100], color="0.7", linewidth=0.8, zorder=0)
    _name(calibration, f"confidence, % ({ZONES[0]}: line; {ZONES[1]}: dots)", "right, %")
    handles, labels = distance.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=4, frameon=False)
    return figure


def _curve(
    axis: Any, bins: Sequence[str], numbers: Any, which: tuple[str, str], colour: str, **more: str
) -> None:
    table, quantity = which
    values = [numbers.get((table, label, quantity), np.nan) for label in bins]
    axis.plot(range(len(bins)), values, marker="o", color=colour, **more)
    axis.set_xticks(range(len(bins)), bins)


def _name(axis: Any, x: str, y: str) -> None:
    axis.set_xlabel(x)
    axis.set_ylabel(y)
    axis.grid(alpha=0.3)
