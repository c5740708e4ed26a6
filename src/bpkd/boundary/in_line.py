"""Edge masks for a queue that must not wait: no size depends on what the labels hold.

What :mod:`bpkd.boundary.edges` saves by looking for the mixed pixels first, a GPU loses by waiting
until their number is known. Here every pixel is worked on, a bit a class.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from bpkd.boundary.label_maps import shrink
from bpkd.boundary.windows import mixed, window

#: Classes in a word, and classes that are unpacked at once.
_WORD, _PLANES = 31, 8


def edge_masks_in_line(
    labels: Tensor, num_classes: int, kernel_size: int, size: tuple[int, int], ignore_index: int
) -> Tensor:
    """The same numbers as :func:`bpkd.boundary.edge_masks`, to the last bit.

    Example:
        >>> labels = torch.tensor([[[0, 0, 1, 1]]])
        >>> edge_masks_in_line(labels, 2, 3, (1, 2), ignore_index=255).tolist()
        [[[[0.5, 0.5]], [[0.5, 0.5]]]]
    """
    lowest, highest = min(0, ignore_index), max(num_classes - 1, ignore_index)
    counted = labels != ignore_index
    known = (labels >= 0) & (labels < num_classes)
    torch._assert_async((known | ~counted).all(), "a label is no class and not ignored")
    edges = mixed(shrink(labels, lowest, highest), kernel_size) & counted
    rows, columns = (
        _blocks(n, b, labels.device) for n, b in zip(labels.shape[1:], size, strict=True)
    )
    counts = []
    for first in range(0, num_classes, _WORD):
        words = _words(labels, counted, first, kernel_size) * edges
        bits = torch.arange(min(_WORD, num_classes - first), device=labels.device)
        for some in torch.split(bits, _PLANES):
            planes = (words[:, None] >> some.view(-1, 1, 1)) & 1
            counts.append(rows @ planes.float() @ columns.T)
    return torch.cat(counts, dim=1) / (rows.sum(1)[:, None] * columns.sum(1))


def _words(labels: Tensor, counted: Tensor, first: int, kernel_size: int) -> Tensor:
    """For each pixel, a bit for each of the classes from ``first`` on that its window holds."""
    position = labels.long() - first
    here = counted & (position >= 0) & (position < _WORD)
    bits = torch.where(here, 1 << position.clamp(0, _WORD - 1), 0).int()
    return window(F.pad(bits, [kernel_size // 2] * 4), kernel_size, torch.bitwise_or)


def _blocks(length: int, blocks: int, device: torch.device) -> Tensor:
    """Which of ``length`` positions are in which of adaptive pooling's blocks: (blocks, length).

    Ones and zeros, so that a product of matrices counts exactly, in any of a GPU's number types.

    Example:
        >>> _blocks(3, 2, torch.device("cpu")).tolist()
        [[1.0, 1.0, 0.0], [0.0, 1.0, 1.0]]
    """
    block = torch.arange(blocks, device=device)[:, None]
    position = torch.arange(length, device=device)
    first, last = block * length // blocks, -(-(block + 1) * length // blocks)
    return ((position >= first) & (position < last)).float()
