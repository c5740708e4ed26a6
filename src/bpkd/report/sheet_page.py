"""How a contact sheet is laid out: panels in rows, names over them, the classes below."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from PIL import Image
from torch import Tensor

from bpkd.inference.overlay import Picture

#: A name, the image, the image with its labels.
Panel: TypeAlias = tuple[str, Picture, Picture]
Entry: TypeAlias = tuple[str, tuple[float, float, float]]

_WIDTH = 480  # pixels of a panel
_PAIRS = 2  # an image and its labels, side by side, so often in a row
_LEGEND = 40  # classes; more would take more room than the pictures


def shrunk(picture: Picture) -> Picture:
    """A large picture at a panel's width; thin lines become faint, and stay."""
    height, width = picture.shape[:2]
    if width <= _WIDTH:
        return picture
    size = (_WIDTH, max(1, round(height * _WIDTH / width)))
    return np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.BOX))


def legend(counts: Tensor, data: Any) -> list[Entry]:
    """Name and colour of the classes on the sheet, the most frequent first."""
    names = [*data.classes, "ignored"]
    colours = np.array([*data.palette, (0, 0, 0)]) / 255
    order = [i for i in counts.argsort(descending=True).tolist() if counts[i] > 0]
    entries = [(names[i], tuple(colours[i])) for i in order]
    more = len(entries) - _LEGEND
    return entries if more <= 0 else [*entries[:_LEGEND], (f"and {more} more", (1.0, 1.0, 1.0))]


def draw(
    panels: Sequence[Panel],
    legend: Sequence[Entry],
    title: str,
) -> Figure:
    """The page: each image beside its labels, two such pairs in a row."""
    pairs = min(_PAIRS, len(panels))
    rows = math.ceil(len(panels) / pairs)
    ratio = max(image.shape[0] / image.shape[1] for _, image, _ in panels)
    columns = 4 * pairs
    legend_rows = math.ceil(len(legend) / columns)
    width, top, bottom = 3.4 * 2 * pairs, 0.3 if title else 0.05, 0.22 * legend_rows + 0.25
    height = rows * (3.4 * ratio + 0.28) + top + bottom
    figure = Figure(figsize=(width, height))
    figure.subplots_adjust(
        left=0.01, right=0.99, bottom=bottom / height, top=1 - (top + 0.2) / height,
        wspace=0.02, hspace=0.28 / (3.4 * ratio),
    )  # fmt: skip
    axes = figure.subplots(rows, 2 * pairs, squeeze=False)
    for axis in axes.flat:
        axis.set_axis_off()
    for place, (name, image, classes) in enumerate(panels):
        row, column = divmod(place, pairs)
        left, right = axes[row, 2 * column : 2 * column + 2]
        left.imshow(image)
        right.imshow(classes)
        left.set_title(name, fontsize=9, loc="left", pad=3)
    if title:
        figure.suptitle(title, fontsize=11, x=0.01, y=1 - 0.1 / height, ha="left", va="top")
    patches = [Patch(facecolor=colour, edgecolor="grey", label=name) for name, colour in legend]
    figure.legend(
        handles=patches, loc="lower center", ncols=min(columns, len(legend)), fontsize=9,
        frameon=False, borderaxespad=0.2,
    )  # fmt: skip
    return figure
