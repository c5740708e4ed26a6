"""Edge masks: in which share of each block of pixels a class has an outline.

The edge detection module of *Boundary Privileged Knowledge Distillation for Semantic
Segmentation* (Liu et al., WACV 2024) dilates and erodes a one-hot label map, class by class.
Class c turns out to be an edge at a pixel exactly when c occurs in the window round the pixel
and the window is not all c. That is a question about the label map itself: it needs no one-hot
tensor, and only the few pixels whose window is mixed cost anything.
"""

from __future__ import annotations

from itertools import product

import torch
import torch.nn.functional as F
from torch import Tensor

from bpkd.boundary.in_line import edge_masks_in_line
from bpkd.boundary.label_maps import check_shape, check_values, shrink
from bpkd.boundary.windows import mixed, window
from bpkd.errors import UserError

#: Classes in a word: the bits of an int64 but its sign.
_WORD = 63


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
        UserError: an even kernel size, a label that is no class, a wrong shape or dtype. On a GPU a
            label that is no class fails an assertion of the device, as in torch's cross-entropy.

    Example:
        The middle two of six pixels see both classes; each block of three holds one of them.

        >>> labels = torch.tensor([[[0, 0, 0, 1, 1, 1]]])
        >>> edge_masks(labels, num_classes=2, kernel_size=3, size=(1, 2)).tolist()
        [[[[0.3333333432674408, 0.3333333432674408]], [[0.3333333432674408, 0.3333333432674408]]]]
    """
    if kernel_size < 1 or kernel_size % 2 == 0:
        raise UserError(f"kernel_size is {kernel_size}: expected an odd number (1, 3, 5, ...)")
    check_shape(labels)
    if labels.is_cuda:
        return edge_masks_in_line(labels, num_classes, kernel_size, size, ignore_index)
    lowest, highest = min(0, ignore_index), max(num_classes - 1, ignore_index)
    check_values(torch.stack(torch.aminmax(labels)), num_classes, ignore_index)
    codes = shrink(labels, lowest, highest)
    values = torch.bincount(codes.flatten()).nonzero().squeeze(1) + lowest
    check_values(values, num_classes, ignore_index)
    ignored = ignore_index - lowest
    edges = mixed(codes, kernel_size) & (codes != ignored)
    pixels, cells = _pixels_and_cells(edges, num_classes, size)
    codes = F.pad(codes, [kernel_size // 2] * 4, value=ignored)
    counts = pixels.new_zeros((labels.shape[0], num_classes, *size), dtype=torch.int32)
    for classes in torch.split(values[values != ignore_index], _WORD):
        bit = 1 << torch.arange(len(classes), device=codes.device)
        bits = bit.new_zeros(highest - lowest + 1).index_copy_(0, classes - lowest, bit)
        bits = bits.int() if len(classes) < 32 else bits  # shorter words, faster passes
        _count(counts, _bits_in_window(codes, bits, kernel_size, pixels), cells, classes)
    heights, widths = map(_block_lengths, labels.shape[1:], size)
    return counts.float().div_((heights[:, None] * widths).to(counts.device))


def _bits_in_window(padded: Tensor, bits: Tensor, kernel_size: int, pixels: Tensor) -> Tensor:
    """Or of ``bits[code]`` over the window of each listed pixel: (P,) words."""
    # One expression: no name keeps a map of words alive while the window passes over it.
    words = window(
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
    image, y, x = mixed.nonzero().unbind(1)  # and not pixels // width: divisions are slow
    pixels = (image * height + y) * width + x
    first_cells = image * (num_classes * size[0] * size[1])
    rows, columns = _blocks_at(height, size[0]), _blocks_at(width, size[1])
    found = []
    for row_at, column_at in product(rows, columns):
        row = row_at.to(y.device).index_select(0, y)
        column = column_at.to(x.device).index_select(0, x)
        cells = first_cells + row * size[1] + column
        if len(rows) == len(columns) == 1:  # the sizes divide: each pixel is in one block
            return pixels, cells
        inside = ((row >= 0) & (column >= 0)).nonzero().squeeze(1)
        found.append((pixels.index_select(0, inside), cells.index_select(0, inside)))
    pixels, cells = map(torch.cat, zip(*found, strict=True))
    return pixels, cells


def _blocks_at(length: int, blocks: int) -> tuple[Tensor, ...]:
    """The first, second, ... block that holds each of ``length`` positions; -1 where none does.

    Adaptive pooling's block i is [floor(i * length / blocks), ceil((i + 1) * length / blocks)).
    """
    position = torch.arange(length)
    first, last = position * blocks // length, ((position + 1) * blocks - 1) // length
    most = int((last - first).max()) + 1
    return tuple(torch.where(first + i <= last, first + i, -1) for i in range(most))


def _block_lengths(length: int, blocks: int) -> Tensor:
    """How many of ``length`` positions adaptive pooling puts in each of its blocks."""
    block = torch.arange(blocks)
    return -(-(block + 1) * length // blocks) - block * length // blocks


def _count(counts: Tensor, words: Tensor, cells: Tensor, classes: Tensor) -> None:
    """Add 1 to ``counts`` (N, C, h, w) for each set bit of each word, in the word's cell."""
    flat = counts.view(-1)
    plane = counts.shape[2] * counts.shape[3]
    # By the exponent of a float whose only bit it is, 127 for 1: where a bit's plane begins.
    planes = F.pad(classes * plane, [127, 0])
    while len(words):
        lowest_bit = words & -words
        cell = cells + planes.index_select(0, lowest_bit.float().view(torch.int32) >> 23)
        # 0 the first time, where all of a pixel's classes are in other words.
        flat.index_add_(0, cell, lowest_bit.ne(0).to(flat.dtype))
        words = words ^ lowest_bit
        left = words.nonzero().squeeze(1)
        words, cells = words.index_select(0, left), cells.index_select(0, left)
