"""What the contact sheet lays over an image: label maps, or instances."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from bpkd.datasets.instances import Instances
from bpkd.inference.instance_overlay import flattened, outlined, with_edges
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
        picture = outlined(image, target, data.palette, width)
        known = labels[numbers > 0]
    else:
        labels = target.long()
        picture = with_edges(overlay(image, labels, data.palette), labels, width)
        known = labels.where((labels >= 0) & (labels < count), count).flatten()
    return picture, torch.bincount(known, minlength=count + 1)
