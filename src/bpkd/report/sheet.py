"""A contact sheet: images, their labels in colour, the outlines of the labels over them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import torch
from matplotlib.figure import Figure
from torch import Tensor

from bpkd.errors import UserError
from bpkd.report.plain_text import in_plain_text
from bpkd.report.sheet_page import Panel, draw, legend, shrunk
from bpkd.report.sheet_targets import drawn
from bpkd.support.files import check_writable, replacing
from bpkd.support.messages import one_line

Transform: TypeAlias = Callable[[Tensor, Any], tuple[Tensor, Any]]


def contact_sheet(
    data: Any,
    indices: Sequence[int],
    file: Path,
    *,
    transform: Transform | None = None,
    kernel_size: int = 3,
    title: str = "",
) -> list[str]:
    """Write a picture of some pairs of a data set.

    Beside each image stand its labels: the classes' colours laid over it, black where a pixel is
    ignored, and in white the edge pixels, those with another label in the window round them. Of
    instances see :func:`~bpkd.report.sheet_targets.drawn`.

    Args:
        data: by the contract of :mod:`bpkd.datasets`.
        indices: which pairs, at least one.
        file: PNG, PDF or whatever else matplotlib writes.
        transform: what training does to image and labels; None shows them as they are.
        kernel_size: side of the window, odd; 1 draws no edge.
        title: stands above.

    Returns:
        What is wrong with the pairs that are left out because they cannot be read, a line each.

    Raises:
        UserError: no pairs, none that can be read, an even kernel size, no such kind of picture,
            or a place that cannot be written.
    """
    if not indices:
        raise UserError("the contact sheet would be empty: ask for one image or more")
    kind = check_sheet(file, kernel_size)
    counts = torch.zeros(len(data.classes) + 1, dtype=torch.long)
    panels: list[Panel] = []
    left_out: list[str] = []
    for index in indices:
        try:
            panel, count = _panel(data, index, transform, kernel_size)
        except UserError as error:
            left_out.append(str(error))
        # A data set of the user's own may meet a damaged file with any exception.
        except Exception as error:
            what = f"{type(error).__name__}: {one_line(error)}"
            left_out.append(f"{data.name(index)} cannot be read: {what}")
        else:
            panels.append(panel)
            counts += count
    if not panels:
        raise UserError(f"none of the {len(indices)} images can be shown: {left_out[0]}")
    figure = draw(panels, legend(counts, data), title)
    with replacing(file) as temporary:
        in_plain_text(figure).savefig(temporary, dpi=120, format=kind)
    return left_out


def check_sheet(file: Path, kernel_size: int) -> str:
    """The kind of picture that a sheet will be, by its file's ending; without one, PNG.

    Raises:
        UserError: no such kind, a place that cannot be written, or an even kernel size.

    >>> check_sheet(Path("sheet.PNG"), 3)
    'png'
    """
    if kernel_size < 1 or kernel_size % 2 == 0:
        raise UserError(f"kernel_size is {kernel_size}: expected an odd number (1, 3, 5, ...)")
    kind = file.suffix[1:].lower() or "png"
    if kind not in (known := Figure().canvas.get_supported_filetypes()):
        raise UserError(f"{file}: no kind of picture; expected one of {', '.join(known)}")
    check_writable(file)
    return kind


def some_indices(count: int, of: int, seed: int) -> list[int]:
    """Some of the pairs, drawn without repetition, in the data set's order.

    >>> some_indices(9, of=3, seed=0), len(some_indices(2, of=3, seed=0))
    ([0, 1, 2], 2)
    """
    order = torch.randperm(of, generator=torch.Generator().manual_seed(seed))
    return sorted(order[:count].tolist())


def _panel(
    data: Any, index: int, transform: Transform | None, kernel_size: int
) -> tuple[Panel, Tensor]:
    """A pair as it is shown, and its pixels of each class and of none, (C + 1,)."""
    image, target = data[index]
    if transform is not None:
        image, target = transform(image, target)
    image = _bytes(image)
    picture, counts = drawn(image, target, data, kernel_size // 2)
    return (data.name(index), shrunk(image.permute(1, 2, 0).numpy()), shrunk(picture)), counts


def _bytes(image: Tensor) -> Tensor:
    """uint8 as it is; a float image in [0, 1] -> uint8."""
    return image if image.dtype == torch.uint8 else (image * 255).round().clamp(0, 255).byte()
