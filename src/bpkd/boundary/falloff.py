"""Edge masks that fade with the distance to the outline, in place of a flat window."""

from __future__ import annotations

from torch import Tensor

from bpkd.boundary.edges import edge_masks


def fading_edge_masks(
    labels: Tensor,
    num_classes: int,
    kernel_size: int,
    size: tuple[int, int],
    ignore_index: int = 255,
) -> Tensor:
    """The mean of :func:`edge_masks` over the windows 3, 5, ... ``kernel_size``.

    A pixel at Chebyshev distance d from the next pixel of another class is in the windows from
    2 d + 1 on. So of R = (kernel_size - 1) / 2 windows it is in R - d + 1: the weight falls
    linearly, from 1 beside the outline to 1 / R at the flat window's rim.

    Args:
        labels: as the other arguments those of :func:`edge_masks`.
        num_classes: C.
        kernel_size: the largest window, odd, at least 3.
        size: (h, w) of the result.
        ignore_index: the label of ignored pixels.

    Returns:
        (N, C, h, w) float32 in [0, 1].

    Example:
        >>> import torch
        >>> labels = torch.tensor([[[0, 0, 0, 1, 1, 1]]])
        >>> fading_edge_masks(labels, 2, kernel_size=5, size=(1, 6))[0, 0].tolist()
        [[0.0, 0.5, 1.0, 1.0, 0.5, 0.0]]
    """
    windows = range(3, max(kernel_size, 3) + 1, 2)
    total = edge_masks(labels, num_classes, windows[0], size, ignore_index)
    for window in windows[1:]:
        total += edge_masks(labels, num_classes, window, size, ignore_index)
    return total.div_(len(windows))
