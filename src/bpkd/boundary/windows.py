"""A window that passes over a map of codes: what it holds, and whether that is one code alone."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor


def window(padded: Tensor, kernel_size: int, combine: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
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


def mixed(codes: Tensor, kernel_size: int) -> Tensor:
    """Where the window, cut at the frame, holds more than one code: (N, H, W) bool."""
    limits, padding = torch.iinfo(codes.dtype), [kernel_size // 2] * 4
    lowest = window(F.pad(codes, padding, value=limits.max), kernel_size, torch.minimum)
    highest = window(F.pad(codes, padding, value=limits.min), kernel_size, torch.maximum)
    return lowest != highest
