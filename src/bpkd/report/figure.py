"""The same image through several networks, side by side, zoomed on an outline."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch.nn.functional as F
from matplotlib.backend_bases import FigureCanvasBase
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.patches import Rectangle
from numpy.typing import NDArray
from torch import Tensor, nn

from bpkd.boundary import trimap_bands
from bpkd.datasets.transforms import to_float
from bpkd.errors import UserError
from bpkd.inference.overlay import Picture, colourise, overlay
from bpkd.inference.predictor import device_of
from bpkd.inference.windows import Inference, predict, whole
from bpkd.report.plain_text import in_plain_text
from bpkd.support.files import replacing

#: So many pictures side by side fit a page.
_COLUMNS = 9


def busiest_window(labels: Tensor, size: tuple[int, int]) -> tuple[slice, slice]:
    """The window of labels (H, W) with the most outline in it.

    Example:
        >>> import torch
        >>> labels = torch.zeros(4, 8)
        >>> labels[:, 6] = 1
        >>> busiest_window(labels, (4, 4))
        (slice(0, 4, None), slice(4, 8, None))
    """
    band = trimap_bands(labels[None].long(), 1).float()
    share = F.avg_pool2d(band[None], size, stride=1)[0, 0]
    # Round: sums of floats differ in the last digit, and the first of equals shall win.
    row, column = divmod(int((share * 1e4).round().flatten().argmax()), share.shape[1])
    return slice(row, row + size[0]), slice(column, column + size[1])


def busiest_image(data: Any, candidates: int = 24) -> int:
    """Which of the first images shows the most classes, and of those the most outline."""

    def busy(index: int) -> tuple[int, float]:
        labels = data[index][1].long()
        known = labels[labels != data.ignore_index]
        return known.unique().numel(), trimap_bands(labels[None], 1).float().mean().item()

    return max(range(min(candidates, len(data))), key=busy)


def comparison(
    networks: dict[str, nn.Module],
    data: Any,
    file: Path,
    index: int | None = None,
    inference: Inference = whole,
) -> None:
    """Write a picture: a column for the image, its labels and each network's prediction.

    The rows: the whole image; the window with the most outline; what is wrong there, in red.

    Args:
        networks: by the name that stands above their column.
        data: a data set, see the contract in :mod:`bpkd.datasets`.
        file: PNG, PDF or whatever else matplotlib writes.
        index: which image; None for :func:`busiest_image`.
        inference: how to get logits.

    Raises:
        UserError: no such image, or no such kind of picture.
    """
    index = chosen_image(data, index, busiest_image)
    image, labels = data[index]
    labels = labels.long()
    maps = {"labels": labels}
    for name, network in networks.items():
        device = device_of(network)
        maps[name] = predict(network, to_float(image)[None].to(device), inference)[0].cpu()
    height, width = labels.shape
    window = busiest_window(labels, (max(1, height * 2 // 5), max(1, width * 2 // 5)))
    figure = _draw(image, maps, window, data.palette, data.ignore_index)
    save(figure, file)


def chosen_image(data: Any, index: int | None, otherwise: Callable[[Any], int]) -> int:
    """The number of the image to draw.

    Raises:
        UserError: the split has no such image.
    """
    if index is None:
        return otherwise(data)
    if not 0 <= index < len(data):
        raise UserError(f"image {index}: the split has {len(data)} images, 0 to {len(data) - 1}")
    return index


def check_kind(file: Path) -> str:
    """The kind of picture that a file's name asks for; png where it has no ending.

    Raises:
        UserError: there is none such.
    """
    kind = file.suffix[1:].lower() or "png"
    if kind not in (known := FigureCanvasBase.get_supported_filetypes()):
        raise UserError(f"{file}: no kind of picture; expected one of {', '.join(known)}")
    return kind


def save(figure: Figure, file: Path) -> None:
    """Write a figure, whole or not at all."""
    kind = check_kind(file)
    with replacing(file) as temporary:
        in_plain_text(figure).savefig(temporary, dpi=120, format=kind)


def _draw(
    image: Tensor,
    maps: dict[str, Tensor],
    window: tuple[slice, slice],
    palette: Sequence[tuple[int, int, int]],
    ignore_index: int,
) -> Figure:
    """Image, labels and networks in columns; what has no room beside them goes below."""
    height, width = image.shape[1:]
    photo, truth = image.permute(1, 2, 0).numpy(), maps["labels"]
    columns = min(len(maps) + 1, _COLUMNS)
    bands = -(-(len(maps) + 1) // columns)
    tight = ConstrainedLayoutEngine(w_pad=0.02, h_pad=0.02, wspace=0, hspace=0)
    size = 2.4 * columns, (2.4 * 3 * height / width + 0.35) * bands
    figure = Figure(figsize=size, layout=tight)
    axes = figure.subplots(3 * bands, columns, squeeze=False)
    for axis in axes.flat:
        axis.set_axis_off()
    axes[0, 0].imshow(photo)
    axes[1, 0].imshow(photo[window], interpolation="nearest")
    axes[0, 0].set_title("image", fontsize=10)
    frame(axes[0, 0], window)
    for place, (name, classes) in enumerate(maps.items(), start=1):
        band, column = divmod(place, columns)
        top, middle, bottom = axes[3 * band : 3 * band + 3, column]
        shown = classes.where(truth != ignore_index, ignore_index)
        top.imshow(overlay(image, shown, palette))
        middle.imshow(colourise(shown, palette)[window], interpolation="nearest")
        top.set_title(name, fontsize=10)
        if name != "labels":
            wrong = ((classes != truth) & (truth != ignore_index))[window]
            bottom.imshow(_red(photo[window], wrong.numpy()), interpolation="nearest")
    labels = axes[2, 1]
    labels.text(0.98, 0.5, "wrong:", ha="right", va="center", transform=labels.transAxes)
    return figure


def _red(photo: Picture, wrong: NDArray[np.bool_]) -> Picture:
    grey: Picture = (
        (photo.mean(axis=2, keepdims=True) // 2 + 110).astype(np.uint8).repeat(3, axis=2)
    )
    grey[wrong] = (214, 39, 40)
    return grey


def frame(axis: Any, window: tuple[slice, slice]) -> None:
    """Draw a part's frame into the whole image."""
    rows, columns = window
    width, height = columns.stop - columns.start, rows.stop - rows.start
    corner = (columns.start - 0.5, rows.start - 0.5)
    axis.add_patch(Rectangle(corner, width, height, fill=False, ec="white"))
