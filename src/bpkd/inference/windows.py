"""Logits at the image's own size: from the whole image at once, or from sliding windows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial

import torch
from torch import Tensor, nn

from bpkd.datasets.transforms import rescaled_size
from bpkd.networks.base import resize
from bpkd.recipe.sections import Evaluation

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
        share = logits.float().softmax(dim=1) / len(views)
        mean = mean + (share.flip(-1) if mirrored else share)
    return mean


@torch.inference_mode()
def predict(network: nn.Module, images: Tensor, inference: Inference = whole) -> Tensor:
    """The class of each pixel (N, H, W), int64, of images (N, 3, H, W) in [0, 1]."""
    return inference(network, images).argmax(dim=1)


def build_inference(evaluation: Evaluation) -> Inference:
    """Whole images or sliding windows; of the images as they are, or of several views of them."""
    inference: Inference = whole
    if evaluation.mode == "slide":
        inference = partial(slide, window=evaluation.window, stride=evaluation.stride)
    base_size, scales, flip = evaluation.base_size, evaluation.scales, evaluation.flip
    if base_size is None and scales == [1] and not flip:
        return inference
    return partial(averaged, inference=inference, base_size=base_size, scales=scales, flip=flip)
