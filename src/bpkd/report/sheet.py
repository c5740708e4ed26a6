"""A contact sheet: images, their labels in colour, the outlines of the labels over them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from PIL import Image
from torch import Tensor

from bpkd.boundary import trimap_bands
from bpkd.errors import UserError
from bpkd.files import replacing
from bpkd.report.figure import Picture, overlay

Entry: TypeAlias = tuple[str, tuple[float, float, float]]

_WIDTH = 480  # pixels of a panel
_PAIRS = 2  # an image and its labels, side by side, so often in a row
_LEGEND = 40  # classes; more would take more room than the pictures


def contact_sheet(
    data: Any,
    indices: Sequence[int],
    file: Path,
    *,
    transform: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]] | None = None,
    kernel_size: int = 3,
    title: str = "",
) -> None:
    """Write a picture of some pairs of a data set.

    Beside each image stand its labels: the classes' colours laid over it, black where a pixel is
    ignored, and in white the edge pixels, those with another label in the window round them.

    Args:
        data: by the contract of :mod:`bpkd.datasets`.
        indices: which pairs, at least one.
        file: PNG, PDF or whatever else matplotlib writes.
        transform: what training does to image and labels; None shows them as they are.
        kernel_size: side of the window, odd; 1 draws no edge.
        title: stands above.

    Raises:
        UserError: no pairs, an even kernel size, a pair that cannot be read, or no such kind of
            picture.
    """
    if not indices:
        raise UserError("the contact sheet would be empty: ask for one image or more")
    if kernel_size < 1 or kernel_size % 2 == 0:
        raise UserError(f"kernel_size is {kernel_size}: expected an odd number (1, 3, 5, ...)")
    counts = torch.zeros(len(data.classes) + 1, dtype=torch.long)
    panels = []
    for index in indices:
        image, labels = data[index]
        if transform is not None:
            image, labels = transform(image, labels)
        image, labels = _bytes(image), labels.long()
        counts += _counts(labels, len(data.classes))
        classes = _with_edges(overlay(image, labels, data.palette), labels, kernel_size)
        panels.append((data.name(index), _shrunk(image.permute(1, 2, 0).numpy()), _shrunk(classes)))
    figure = _draw(panels, _legend(counts, data), title)
    kind = file.suffix[1:] or "png"
    if kind not in (known := figure.canvas.get_supported_filetypes()):
        raise UserError(f"{file}: no kind of picture; expected one of {', '.join(known)}")
    with replacing(file) as temporary:
        figure.savefig(temporary, dpi=120, format=kind)


def some_indices(count: int, of: int, seed: int) -> list[int]:
    """Some of the pairs, drawn without repetition, in the data set's order.

    >>> some_indices(9, of=3, seed=0), len(some_indices(2, of=3, seed=0))
    ([0, 1, 2], 2)
    """
    order = torch.randperm(of, generator=torch.Generator().manual_seed(seed))
    return sorted(order[:count].tolist())


def _bytes(image: Tensor) -> Tensor:
    """uint8 as it is; a float image in [0, 1] -> uint8."""
    return image if image.dtype == torch.uint8 else (image * 255).round().clamp(0, 255).byte()


def _counts(labels: Tensor, num_classes: int) -> Tensor:
    """Pixels of each class and, at the end, of what is no class: (C + 1,)."""
    known = (labels >= 0) & (labels < num_classes)
    return torch.bincount(labels.where(known, num_classes).flatten(), minlength=num_classes + 1)


def _with_edges(picture: Picture, labels: Tensor, kernel_size: int) -> Picture:
    """The picture (H, W, 3) with edge pixels three quarters white: on a small image, whose thin
    things are all edge, their classes can still be told."""
    if kernel_size > 1:
        edges = trimap_bands(labels[None], kernel_size // 2)[0].numpy()
        picture[edges] = picture[edges] // 4 + 191
    return picture


def _shrunk(picture: Picture) -> Picture:
    """A large picture at a panel's width; thin lines become faint, and stay."""
    height, width = picture.shape[:2]
    if width <= _WIDTH:
        return picture
    size = (_WIDTH, max(1, round(height * _WIDTH / width)))
    return np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.BOX))


def _legend(counts: Tensor, data: Any) -> list[Entry]:
    """Name and colour of the classes on the sheet, the most frequent first."""
    names = [*data.classes, "ignored"]
    colours = np.array([*data.palette, (0, 0, 0)]) / 255
    order = [i for i in counts.argsort(descending=True).tolist() if counts[i] > 0]
    entries = [(names[i], tuple(colours[i])) for i in order]
    more = len(entries) - _LEGEND
    return entries if more <= 0 else [*entries[:_LEGEND], (f"and {more} more", (1.0, 1.0, 1.0))]


def _draw(
    panels: Sequence[tuple[str, Picture, Picture]],
    legend: Sequence[Entry],
    title: str,
) -> Figure:
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
