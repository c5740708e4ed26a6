"""Figure 1 of the paper: trimap IoU by class as bars, and against the band's width as curves."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from statistics import fmean, stdev
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from bpkd.errors import UserError
from bpkd.report.table import Row

#: Okabe and Ito's colours, which readers with any colour vision tell apart.
COLOURS = "#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#F0E442", "#000000"
#: So many classes side by side can be read.
_CLASSES = 24


def widths(rows: Sequence[Row]) -> list[int]:
    """The band widths at which all rows are measured.

    Raises:
        UserError: there is none.
    """
    every = []
    for row in rows:
        for scores in row.scores:
            names = (key for key in scores if key.startswith("trimap_IoU@"))
            every.append({int(name.partition("@")[2]) for name in names})
            if not every[-1]:
                raise UserError(f"{row.name} is not measured by trimap IoU; its task is another")
    shared = sorted(set.intersection(*every))
    if not shared:
        raise UserError("the runs have no width of the trimap band in common; give --widths")
    return shared


def band_widths(text: str, width: int) -> list[int]:
    """The widths that ``1,2,4`` names, and that of the bars.

    Raises:
        UserError: one is no number of pixels.

    Example:
        >>> band_widths("8,1", width=3)
        [1, 3, 8]
    """
    try:
        found = {int(word) for word in text.split(",")}
    except ValueError:
        found = {0}
    if min(found) < 1:
        raise UserError(f"--widths {text!r}: expected pixels, each at least 1, e.g. 1,2,4,8")
    return sorted(found | {width})


def trimap_figure(rows: Sequence[Row], classes: Sequence[str], width: int) -> Figure:
    """Bars by class at one width, the mean over the classes last; below, curves over the widths.

    Args:
        rows: scores of runs, several a row where runs differ in their seed alone; then bars and
            curves are means and the lines on them standard deviations.
        classes: their names.
        width: of the band in the bars, in pixels.

    Raises:
        UserError: the rows are not all measured at this width.
    """
    known = widths(rows)
    if width not in known:
        listed = ", ".join(map(str, known))
        raise UserError(f"the runs are not all measured at width {width}, but at {listed}")
    parts = list(_parts([*classes, "mean"]))
    curves = len(known) > 1
    size = (min(14.0, 3 + 0.62 * min(len(classes) + 1, _CLASSES)), 3.1 * (len(parts) + curves))
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.subplots(len(parts) + curves, 1, squeeze=False)[:, 0]
    for axis, part in zip(axes, parts, strict=False):
        _bars(axis, rows, [*classes, "mean"], part, width)
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=4, frameon=False)
    if curves:
        _curves(axes[-1], rows, known)
    return figure


def _parts(names: Sequence[str]) -> Iterator[range]:
    """Stretches of nearly equal length, none longer than can be read."""
    count = -(-len(names) // _CLASSES)
    for index in range(count):
        yield range(len(names) * index // count, len(names) * (index + 1) // count)


def _values(row: Row, index: int, classes: int, width: int) -> list[float]:
    """Per cent of a class, or of the mean, one a run; without those that have no number."""
    key = f"trimap_IoU@{width}" if index < classes else f"trimap_mIoU@{width}"
    found = [scores[key][index] if index < classes else scores[key] for scores in row.scores]
    return [100 * value for value in found if not np.isnan(value)]


def _bars(axis: Any, rows: Sequence[Row], names: Sequence[str], part: range, width: int) -> None:
    thick = 0.8 / len(rows)
    for place, row in enumerate(rows):
        values = [_values(row, index, len(names) - 1, width) for index in part]
        where = np.arange(len(part)) + (place - (len(rows) - 1) / 2) * thick
        heights = [fmean(each) if each else np.nan for each in values]
        spread = [stdev(each) if len(each) > 1 else np.nan for each in values]
        errors = {"yerr": spread} if len(row.scores) > 1 else {}
        axis.bar(where, heights, thick, label=row.name, color=COLOURS[place % 8], **errors)
        for x, each in zip(where, values, strict=True):
            if not each:  # the class is nowhere: no bar, which is not a bar of height 0
                axis.text(x, 0, "–", ha="center", va="bottom", fontsize=7)
    labels = [names[index] for index in part]
    axis.set_xticks(range(len(part)), labels, rotation=40, ha="right", rotation_mode="anchor")
    axis.set_xlim(-0.6, len(part) - 0.4)
    axis.set_ylabel(f"trimap IoU at {width} px, %")
    axis.grid(axis="y", alpha=0.3)
    axis.set_axisbelow(True)


def _curves(axis: Any, rows: Sequence[Row], known: Sequence[int]) -> None:
    for place, row in enumerate(rows):
        values = [[100 * scores[f"trimap_mIoU@{w}"] for scores in row.scores] for w in known]
        spread = [stdev(each) if len(each) > 1 else 0.0 for each in values]
        axis.errorbar(
            known,
            [fmean(each) for each in values],
            spread if len(row.scores) > 1 else None,
            marker="o",
            capsize=3,
            color=COLOURS[place % 8],
        )
    axis.set_xticks(known)
    axis.set_xlabel("half-width of the band round outlines, px")
    axis.set_ylabel("trimap mIoU, %")
    axis.grid(alpha=0.3)
