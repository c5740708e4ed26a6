"""Logits at the image's own size: from the whole image at once, or from sliding windows."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

from bpkd.networks.base import resize

#: A network and images (N, 3, H, W) in [0, 1] -> logits (N, C, H, W).
Inference = Callable[[nn.Module, Tensor], Tensor]


def whole(network: nn.Module, images: Tensor) -> Tensor:
    """Logits (N, C, H, W) of images (N, 3, H, W): one pass, resized to the images' size."""
    return resize(network(images).logits, images.shape[-2:])


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
    height, width = images.shape[-2:]
    total: Tensor | None = None
    count = images.new_zeros(1, 1, height, width)
    for rows in _spans(height, window[0], stride[0]):
        for columns in _spans(width, window[1], stride[1]):
            logits = whole(network, images[..., rows, columns])
            if total is None:
                total = logits.new_zeros(len(images), logits.shape[1], height, width)
            total[..., rows, columns] += logits
            count[..., rows, columns] += 1
    assert total is not None
    return total / count


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


@torch.inference_mode()
def predict(network: nn.Module, images: Tensor, inference: Inference = whole) -> Tensor:
    """The class of each pixel (N, H, W), int64, of images (N, 3, H, W) in [0, 1]."""
    return inference(network, images).argmax(dim=1)
