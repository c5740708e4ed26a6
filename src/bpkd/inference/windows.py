"""Logits at the image's own size: from the whole image at once, or from sliding windows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial

import torch
from torch import Tensor, nn

from bpkd.datasets.bands import Bands
from bpkd.datasets.transforms import rescaled_size, to_float
from bpkd.networks.base import resize
from bpkd.recipe.sections import Evaluation

#: A network and images (N, 3, H, W) in [0, 1] -> logits (N, C, H, W).
Inference = Callable[[nn.Module, Tensor], Tensor]
#: Scores (N, C, H, W) -> classes (N, H, W).
Choice = Callable[[Tensor], Tensor]
#: Height and width of a window, and rows and columns from one to the next.
Windows = tuple[tuple[int, int], tuple[int, int]]

# So many logits at the image's own size are held at once: 512 MiB of float32.
_HELD = 2**27


def whole(network: nn.Module, images: Tensor) -> Tensor:
    """Logits (N, C, H, W) of images (N, 3, H, W): one pass, resized to the images' size.

    A file's network that takes no image so large goes over it in windows.
    """
    if windows := _windows(network, images.shape[-2:]):
        return slide(network, images, *windows)
    return resize(network(images).logits, images.shape[-2:])


def _windows(network: nn.Module, images: Sequence[int]) -> Windows | None:
    """Window and stride for images larger than the one size that a network takes, or None."""
    size: tuple[int, int] | None = getattr(network, "only_size", None)
    if size is None or (images[0] <= size[0] and images[1] <= size[1]):
        return None
    return size, (max(1, size[0] * 2 // 3), max(1, size[1] * 2 // 3))


def sliding(network: nn.Module, inference: Inference, size: Sequence[int]) -> Windows | None:
    """Window and stride in which images (H, W) are gone over; None where they are not."""
    if isinstance(inference, partial) and inference.func is slide:
        return inference.keywords["window"], inference.keywords["stride"]
    return _windows(network, size) if inference is whole else None


def slide(
    network: nn.Module, images: Tensor, window: tuple[int, int], stride: tuple[int, int]
) -> Tensor:
    """Logits (N, C, H, W), the mean over windows that overlap, each resized first.

    The last window of a row or column is shifted back to end at the border, so every window
    is whole.

    Args:
        network: gives logits for images of the window's size.
        images: (N, 3, H, W) in [0, 1].
        window: height and width; where the image is smaller, the window is the image.
        stride: rows and columns from a window to the next.
    """
    total: Tensor | None = None
    for rows, columns, logits in pieces(network, images, window, stride):
        if total is None:
            total = logits.new_empty(*logits.shape[:2], *images.shape[-2:])
        total[..., rows, columns] = logits
    assert total is not None
    return total


def pieces(
    network: nn.Module, images: Tensor | Bands, window: tuple[int, int], stride: tuple[int, int]
) -> Iterator[tuple[slice, slice, Tensor]]:
    """What :func:`slide` gives, piece by piece: rows, columns, and the logits there.

    A piece is finished as soon as no further window reaches it, so no more than a row of windows
    is held at once; of a wide image with many classes, no more than a part of a row, at whose
    sides a window is computed for either part.
    """
    height, width = images.shape[-2:]
    rows_of = list(_spans(height, window[0], stride[0]))
    columns_of = list(_spans(width, window[1], stride[1]))
    high = rows_of[0].stop
    logits = whole(network, _cut(network, images, rows_of[0], columns_of[0]))
    at_once = _HELD * 3 // 4 // (logits.shape[1] * high * len(images))
    for left, right in _parts(columns_of, width, at_once):
        held = logits.new_zeros(*logits.shape[:2], high, right - left)
        count = logits.new_zeros(1, 1, high, right - left)
        for rows, below in zip(rows_of, [*rows_of[1:], slice(height, None)], strict=True):
            for columns in (c for c in columns_of if c.stop > left and c.start < right):
                if rows.start or columns.start or left:  # the first window is there
                    del logits  # never two at once
                    logits = whole(network, _cut(network, images, rows, columns))
                inside = slice(max(columns.start, left), min(columns.stop, right))
                place = slice(inside.start - left, inside.stop - left)
                start = columns.start
                held[..., place] += logits[..., inside.start - start : inside.stop - start]
                count[..., place] += 1
            done = below.start - rows.start
            yield (
                slice(rows.start, below.start),
                slice(left, right),
                held[..., :done, :].div_(count[..., :done, :]),
            )
            for kept in (held, count):
                rest = kept[..., done:, :]
                kept[..., : high - done, :] = rest if 2 * done >= high else rest.clone()
                kept[..., high - done :, :] = 0


def _parts(columns: Sequence[slice], width: int, held: int) -> Iterator[tuple[int, int]]:
    """The width in parts that begin with a window and are no wider than ``held``, if they can.

    >>> columns = [slice(0, 4), slice(3, 7), slice(6, 10)]
    >>> list(_parts(columns, 10, 99)), list(_parts(columns, 10, 6)), list(_parts(columns, 10, 1))
    ([(0, 10)], [(0, 6), (6, 10)], [(0, 3), (3, 6), (6, 10)])
    """
    ends = [column.start for column in columns[1:]] + [width]
    left = 0
    for place, end in enumerate(ends):
        if end == width or ends[place + 1] - left > held:
            yield left, end
            left = end


def _cut(network: nn.Module, images: Tensor | Bands, rows: slice, columns: slice) -> Tensor:
    """A window of images as the network takes it; only it is converted and moved."""
    parameter = next(network.parameters(), None)
    cut = images[..., rows, columns]
    cut = cut if cut.is_floating_point() else to_float(cut)
    return cut if parameter is None else cut.to(parameter.device)


def _spans(length: int, window: int, stride: int) -> Iterator[slice]:
    """Windows along one side.

    >>> [(s.start, s.stop) for s in _spans(10, 4, 3)]
    [(0, 4), (3, 7), (6, 10)]
    >>> [(s.start, s.stop) for s in _spans(9, 4, 3)]
    [(0, 4), (3, 7), (5, 9)]
    """
    steps = max(0, -(-(length - window) // stride))
    for step in range(steps + 1):
        stop = min(step * stride + window, length)
        yield slice(max(stop - window, 0), stop)


def averaged(
    network: nn.Module,
    images: Tensor,
    inference: Inference = whole,
    base_size: Sequence[int] | None = None,
    scales: Sequence[float] = (1.0,),
    flip: bool = False,
) -> Tensor:
    """Scores (N, C, H, W) from images that are resized, and perhaps mirrored, first.

    As MMSegmentation tests: each view's logits are resized to the images' own size. One view
    gives logits; several give the mean of their softmax probabilities.

    Args:
        network: images -> SegOutput.
        images: (N, 3, H, W) in [0, 1].
        inference: how a view's logits are got, at the view's size.
        base_size: the images are fitted into it, the aspect kept, see
            :func:`bpkd.datasets.transforms.rescaled_size`; None: their own size.
        scales: factors of the base size, a view each.
        flip: whether each view comes mirrored, too.
    """
    size = images.shape[-2:]
    views = [(scale, mirrored) for scale in scales for mirrored in (False, True)[: 1 + flip]]
    mean = images.new_zeros(())
    for scale, mirrored in views:
        base = [int(side * scale) for side in base_size or size]
        view = resize(images, rescaled_size(size, base))
        logits = resize(inference(network, view.flip(-1) if mirrored else view), size)
        if len(views) == 1:
            return logits
        share = logits.float().softmax(dim=1).div_(len(views))
        mean = mean + (share.flip(-1) if mirrored else share)
    return mean


@torch.inference_mode()
def predict(
    network: nn.Module,
    images: Tensor,
    inference: Inference = whole,
    dtype: torch.dtype = torch.int64,
) -> Tensor:
    """The class of each pixel (N, H, W) of images (N, 3, H, W).

    The logits of a large image are never held at its own size: whole images are resized a few
    classes at a time, sliding windows are finished piece by piece.

    Args:
        network: images -> SegOutput.
        images: in [0, 1], or uint8, which is converted by the window.
        inference: how logits are got.
        dtype: of the classes.
    """
    return chosen(network, images, inference, surest, dtype)


def surest(scores: Tensor) -> Tensor:
    """Scores (N, C, H, W) -> the classes of the greatest (N, H, W)."""
    return scores.argmax(dim=1)


def above(confidence: float, ignore_index: int, inference: Inference) -> Choice:
    """Scores -> their classes; ``ignore_index`` where the class is less probable."""
    views = inference.keywords if getattr(inference, "func", None) is averaged else {}  # type: ignore[attr-defined]
    several = len(views.get("scales", (1,))) * (1 + views.get("flip", False)) > 1

    def classes(scores: Tensor) -> Tensor:
        shares = scores if several else scores.float().softmax(dim=1)
        best, found = shares.max(dim=1)
        return found.where(best >= confidence, ignore_index)

    return classes


@torch.inference_mode()
def chosen(
    network: nn.Module, images: Tensor, inference: Inference, choice: Choice, dtype: torch.dtype
) -> Tensor:
    """As :func:`predict`, with another choice from each pixel's scores than the greatest."""
    size = images.shape[-2:]
    if windows := sliding(network, inference, size):
        classes = torch.empty(len(images), *size, dtype=dtype, device=images.device)
        for rows, columns, logits in pieces(network, images, *windows):
            classes[:, rows, columns] = choice(logits).to(dtype)
        return classes
    if inference is whole and choice is surest:
        found = _classes(network(_whole(network, images)).logits, size)
    else:
        found = choice(inference(network, _whole(network, images)))
    return found.to(images.device, dtype)


def _whole(network: nn.Module, images: Tensor) -> Tensor:
    """Images as the network takes them."""
    return _cut(network, images, slice(None), slice(None))


def _classes(logits: Tensor, size: Sequence[int]) -> Tensor:
    """The classes at a size, (N, H, W): the argmax of logits (N, C, h, w) that are resized."""
    pixels = len(logits) * size[0] * size[1]
    step = max(1, _HELD // pixels)
    best, classes = resize(logits[:, :step], size).max(dim=1)
    for start in range(step, logits.shape[1], step):
        values, indices = resize(logits[:, start : start + step], size).max(dim=1)
        better = values > best
        classes = torch.where(better, indices.add_(start), classes)
        best = torch.where(better, values, best)
    return classes


def build_inference(evaluation: Evaluation) -> Inference:
    """Whole images or sliding windows; of the images as they are, or of several views of them."""
    inference: Inference = whole
    if evaluation.mode == "slide":
        inference = partial(slide, window=evaluation.window, stride=evaluation.stride)
    base_size, scales, flip = evaluation.base_size, evaluation.scales, evaluation.flip
    if base_size is None and scales == [1] and not flip:
        return inference
    return partial(averaged, inference=inference, base_size=base_size, scales=scales, flip=flip)
