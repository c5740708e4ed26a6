"""Instances laid over their image, in the colours of their classes, outlines in white."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from bpkd.boundary import trimap_bands
from bpkd.datasets.instances import Instances
from bpkd.inference.overlay import Picture, overlay


def outlined(
    image: Tensor, instances: Instances, palette: Sequence[tuple[int, int, int]], width: int = 1
) -> Picture:
    """An image uint8 (3, H, W) with its instances, (H, W, 3); a crowd in black.

    Args:
        image: what lies below.
        instances: of the image, on the CPU.
        palette: a colour for each class.
        width: in pixels, of the outlines to each side.
    """
    classes, numbers = flattened(instances, len(palette))
    picture = overlay(image, classes, palette)
    nothing = (numbers == 0).cpu().numpy()
    picture[nothing] = image.permute(1, 2, 0).cpu().numpy()[nothing]
    return with_edges(picture, numbers, width)


def flattened(instances: Instances, crowd: int) -> tuple[Tensor, Tensor]:
    """Classes and numbers from 1, both (H, W) int64, the smaller instances over the larger ones.

    Args:
        instances: K of them.
        crowd: the class of what is a crowd.

    >>> masks = torch.tensor([[[0, 1, 0]], [[1, 1, 0]]])
    >>> classes, numbers = flattened(Instances.of(masks, torch.tensor([5, 7])), crowd=9)
    >>> classes.tolist(), numbers.tolist()
    ([[7, 5, 0]], [[2, 1, 0]])
    """
    classes = torch.zeros(instances.masks.shape[1:], dtype=torch.int64)
    numbers = classes.clone()
    for i in instances.masks.flatten(1).sum(1).argsort(descending=True).tolist():
        classes[instances.masks[i]] = crowd if instances.crowd[i] else int(instances.labels[i])
        numbers[instances.masks[i]] = i + 1
    return classes, numbers


def with_edges(picture: Picture, labels: Tensor, width: int) -> Picture:
    """The picture (H, W, 3) with edge pixels three quarters white: on a small image, whose thin
    things are all edge, their classes can still be told."""
    if width > 0:
        edges = trimap_bands(labels[None], width)[0].numpy()
        picture[edges] = picture[edges] // 4 + 191
    return picture
