"""Where the classes of a label map meet: edge masks for the losses, trimap bands for the metrics.

The edge detection module of *Boundary Privileged Knowledge Distillation for Semantic
Segmentation* (Liu et al., WACV 2024) dilates and erodes a one-hot label map, class by class.
Class c turns out to be an edge at a pixel exactly when c occurs in the window round the pixel
and the window is not all c. That is a question about the label map itself: it needs no one-hot
tensor, and only the few pixels whose window is mixed cost anything.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import product

import torch
import torch.nn.functional as F
from torch import Tensor

from bpkd.errors import UserError


def edge_masks(
    labels: Tensor,
    num_classes: int,
    kernel_size: int,
    size: tuple[int, int],
    ignore_index: int = 255,
) -> Tensor:
    """Share of each block of pixels in which a class has an edge: dilation - erosion, pooled.

    A pixel is an edge of class c when c occurs in the ``kernel_size`` window round it and the
    window is not all c. The window is cut at the frame of the image, so the frame is no edge.
    An ignored pixel belongs to no class: the classes that touch it have an edge there, it has
    none itself. Blocks are those of ``torch.nn.functional.adaptive_avg_pool2d``. The method is
    Liu et al., WACV 2024, edge detection module: M = avgpool(dilate(y) - erode(y)).

    Args:
        labels: (N, H, W), any integer dtype, 0 .. num_classes - 1 or ``ignore_index``.
        num_classes: number of classes C.
        kernel_size: side of the window in label pixels, odd; 1 gives no edge at all.
        size: (h, w) of the result, usually that of the logits.
        ignore_index: the label of ignored pixels.

    Returns:
        (N, C, h, w) float32 in [0, 1].

    Raises:
        UserError: an even kernel size, a label that is no class, a wrong shape or dtype.

    Example:
        The middle two of six pixels see both classes; each block of three holds one of them.

        >>> labels = torch.tensor([[[0, 0, 0, 1, 1, 1]]])
        >>> edge_masks(labels, num_classes=2, kernel_size=3, size=(1, 2)).tolist()
        [[[[0.3333333432674408, 0.3333333432674408]], [[0.3333333432674408, 0.3333333432674408]]]]
    """
    if kernel_size < 1 or kernel_size % 2 == 0:
        raise UserError(f"kernel_size is {kernel_size}: expected an odd number (1, 3, 5, ...)")
    check_shape(labels)
    lowest, highest = min(0, ignore_index), max(num_classes - 1, ignore_index)
    check_values(torch.stack(torch.aminmax(labels)), num_classes, ignore_index)
    codes = _shrink(labels, lowest, highest)
    values = torch.bincount(codes.flatten()).nonzero().squeeze(1) + lowest
    check_values(values, num_classes, ignore_index)
    ignored = ignore_index - lowest
    edges = _mixed(codes, kernel_size) & (codes != ignored)
    pixels, cells = _pixels_and_cells(edges, num_classes, size)
    codes = F.pad(codes, [kernel_size // 2] * 4, value=ignored)
    counts = pixels.new_zeros((labels.shape[0], num_classes, *size), dtype=torch.int32)
    for classes in torch.split(values[values != ignore_index], 63):  # 63 bits of an int64
        bit = 1 << torch.arange(len(classes), device=codes.device)
        bits = bit.new_zeros(highest - lowest + 1).index_copy_(0, classes - lowest, bit)
        bits = bits.int() if len(classes) < 32 else bits  # shorter words, faster passes
        _count(counts, _bits_in_window(codes, bits, kernel_size, pixels), cells, classes)
    heights, widths = map(_block_lengths, labels.shape[1:], size)
    return counts.float().div_((heights[:, None] * widths).to(counts.device))


def trimap_bands(labels: Tensor, width: int) -> Tensor:
    """Pixels within ``width`` of another label: the bands in which trimap metrics count.

    True where the (2 * width + 1)² window, cut at the frame, holds more than one label value.
    The ignore value counts as a value of its own, as in :func:`edge_masks`. The trimap is from
    Kohli et al., *Robust Higher Order Potentials for Enforcing Label Consistency*, IJCV 2009.

    Args:
        labels: (N, H, W), any integer dtype.
        width: half-width of the band in pixels, at least 1.

    Returns:
        (N, H, W) bool.

    Raises:
        UserError: a width below 1, a wrong shape or dtype.

    Example:
        >>> trimap_bands(torch.tensor([[[0, 0, 0, 1, 1, 1]]]), width=1).int().tolist()
        [[[0, 0, 1, 1, 0, 0]]]
    """
    if width < 1:
        raise UserError(f"width is {width}: expected a number of pixels, at least 1")
    check_shape(labels)
    lowest, highest = (int(value) for value in torch.aminmax(labels))
    return _mixed(_shrink(labels, lowest, highest), 2 * width + 1)


def check_shape(labels: Tensor, name: str = "labels") -> None:
    """Raise a UserError unless ``labels`` is a non-empty integer tensor (N, H, W)."""
    if labels.is_floating_point() or labels.is_complex() or labels.dtype == torch.bool:
        raise UserError(f"{name}: dtype is {labels.dtype}, expected integers such as torch.int64")
    if labels.dim() != 3 or labels.numel() == 0:
        raise UserError(f"{name}: shape is {tuple(labels.shape)}, expected (N, H, W), not empty")


def check_values(
    values: Tensor, num_classes: int, ignore_index: int | None, name: str = "labels"
) -> None:
    """Raise a UserError that names the first of ``values`` that is no class and not ignored."""
    for value in values.tolist():
        if not 0 <= value < num_classes and value != ignore_index:
            also = "" if ignore_index is None else f" or ignore_index {ignore_index}"
            raise UserError(
                f"{name}: found the value {value}, expected 0 .. {num_classes - 1}{also}; "
                "check num_classes, or map the value to ignore_index"
            )


def _shrink(labels: Tensor, lowest: int, highest: int) -> Tensor:
    """Labels - lowest, in bytes where they fit: a pass over bytes costs an eighth of int64's."""
    if lowest != 0:
        labels = labels.long() - lowest  # long: the difference could overflow a short dtype
    return labels.to(torch.uint8 if highest - lowest < 256 else torch.int32)


def _window(
    padded: Tensor, kernel_size: int, combine: Callable[[Tensor, Tensor], Tensor]
) -> Tensor:
    """Combine all values of each window in a map padded by kernel_size // 2 on each side.

    Separable, and the span doubles with each pass: log2(kernel_size) passes a direction.
    ``combine`` has to be idempotent (minimum, maximum, or), because the last two spans overlap.
    """
    for dim in (1, 2):
        span = 1
        while span < kernel_size:
            step = min(span, kernel_size - span)
            length = padded.shape[dim] - step
            padded = combine(padded.narrow(dim, 0, length), padded.narrow(dim, step, length))
            span += step
    return padded


def _mixed(codes: Tensor, kernel_size: int) -> Tensor:
    """Where the window, cut at the frame, holds more than one code: (N, H, W) bool."""
    limits, padding = torch.iinfo(codes.dtype), [kernel_size // 2] * 4
    lowest = _window(F.pad(codes, padding, value=limits.max), kernel_size, torch.minimum)
    highest = _window(F.pad(codes, padding, value=limits.min), kernel_size, torch.maximum)
    return lowest != highest


def _bits_in_window(padded: Tensor, bits: Tensor, kernel_size: int, pixels: Tensor) -> Tensor:
    """Or of ``bits[code]`` over the window of each listed pixel: (P,) words."""
    # One expression: no name keeps a map of words alive while the window passes over it.
    words = _window(
        bits.index_select(0, padded.flatten().int()).view_as(padded), kernel_size, torch.bitwise_or
    )
    return words.flatten().index_select(0, pixels)


def _pixels_and_cells(
    mixed: Tensor, num_classes: int, size: tuple[int, int]
) -> tuple[Tensor, Tensor]:
    """List the mixed pixels, flat in (N, H, W), and their blocks, flat in (N, C, h, w) at c = 0.

    Where the sizes do not divide, blocks overlap: a pixel is listed once for each of its blocks.
    """
    height, width = mixed.shape[1:]
    pixels = mixed.flatten().nonzero().squeeze(1)
    y, x = pixels // width % height, pixels % width
    first_cells = pixels // (height * width) * (num_classes * size[0] * size[1])
    found = []
    for rows, columns in product(_blocks_at(height, size[0]), _blocks_at(width, size[1])):
        row = rows.to(pixels.device).index_select(0, y)
        column = columns.to(pixels.device).index_select(0, x)
        inside = ((row >= 0) & (column >= 0)).nonzero().squeeze(1)
        cells = (first_cells + row * size[1] + column).index_select(0, inside)
        found.append((pixels.index_select(0, inside), cells))
    pixels, cells = map(torch.cat, zip(*found, strict=True))
    return pixels, cells


def _blocks_at(length: int, blocks: int) -> list[Tensor]:
    """The first, second, ... block that holds each of ``length`` positions; -1 where none does.

    Adaptive pooling's block i is [floor(i * length / blocks), ceil((i + 1) * length / blocks)).
    """
    position = torch.arange(length)
    first, last = position * blocks // length, ((position + 1) * blocks - 1) // length
    most = int((last - first).max()) + 1
    return [torch.where(first + i <= last, first + i, -1) for i in range(most)]


def _block_lengths(length: int, blocks: int) -> Tensor:
    """How many of ``length`` positions adaptive pooling puts in each of its blocks."""
    block = torch.arange(blocks)
    return -(-(block + 1) * length // blocks) - block * length // blocks


def _count(counts: Tensor, words: Tensor, cells: Tensor, classes: Tensor) -> None:
    """Add 1 to ``counts`` (N, C, h, w) for each set bit of each word, in the word's cell."""
    flat = counts.view(-1)
    plane = counts.shape[2] * counts.shape[3]
    one = counts.new_ones(())
    while (left := words.nonzero().squeeze(1)).numel():
        words, cells = words.index_select(0, left), cells.index_select(0, left)
        lowest_bit = words & -words
        # The exponent of a float is the position of its only bit.
        position = (lowest_bit.float().view(torch.int32) >> 23) - 127
        cell = cells + classes.index_select(0, position) * plane
        flat.index_add_(0, cell, one.expand_as(cell))
        words = words ^ lowest_bit
