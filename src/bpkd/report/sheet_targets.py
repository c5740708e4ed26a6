"""What the contact sheet lays over an image: label maps, or instances."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from bpkd.boundary import trimap_bands
from bpkd.datasets.instances import Instances
from bpkd.inference.overlay import Picture, overlay


def drawn(
    image: Tensor, target: Tensor | Instances, data: Any, width: int
) -> tuple[Picture, Tensor]:
    """An image uint8 (3, H, W) with its target, (H, W, 3); and what the legend lists, (C + 1,).

    Label maps are laid over it in the classes' colours, black where a pixel is ignored. Instances
    are laid over it in those of their classes, the smaller on the larger, a crowd in black; what
    is none stays as it is. Edge pixels, up to ``width`` from another label or instance, are white.
    The legend lists each class by its pixels, and last what is ignored or crowd.
    """
    count = len(data.classes)
    if isinstance(target, Instances):
        labels, numbers = flattened(target, count)
        picture = overlay(image, labels, data.palette)
        nothing = (numbers == 0).cpu().numpy()
        picture[nothing] = image.permute(1, 2, 0).cpu().numpy()[nothing]
        known = labels[numbers > 0]
    else:
        labels = numbers = target.long()
        picture = overlay(image, labels, data.palette)
        known = labels.where((labels >= 0) & (labels < count), count).flatten()
    return _with_edges(picture, numbers, width), torch.bincount(known, minlength=count + 1)


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


def _with_edges(picture: Picture, labels: Tensor, width: int) -> Picture:
    """The picture (H, W, 3) with edge pixels three quarters white: on a small image, whose thin
    things are all edge, their classes can still be told."""
    if width > 0:
        edges = trimap_bands(labels[None], width)[0].numpy()
        picture[edges] = picture[edges] // 4 + 191
    return picture
