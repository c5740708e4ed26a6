"""Objects on an image: a label map, or one mask an object."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, TypeAlias

import numpy as np
import torch

from bpkd.datasets.annotations.common import Drawing, Object
from bpkd.datasets.annotations.polygons import Patch
from bpkd.datasets.deep import Array
from bpkd.datasets.instances import Instances

#: Which of two objects lies over the other: the later one in the file, or the smaller one.
Overlap: TypeAlias = Literal["later", "smaller"]


def label_map(
    drawing: Drawing,
    meaning: Mapping[str, int],
    size: tuple[int, int],
    background: int,
    overlap: Overlap,
) -> Array:
    """The label map of objects that may cover each other; crowds lie below all else.

    Args:
        drawing: the objects.
        meaning: name -> label, of every name that occurs.
        size: (H, W).
        background: label of the pixels that nothing covers.
        overlap: what lies over what.

    >>> from bpkd.datasets.annotations.polygons import rectangle
    >>> big, small = Object("a", rectangle(0, 0, 3, 1)), Object("b", rectangle(1, 0, 2, 1))
    >>> drawing = Drawing("x.json", [small, big])
    >>> meaning = {"a": 1, "b": 2}
    >>> label_map(drawing, meaning, (1, 4), 0, "later").tolist()
    [[1, 1, 1, 0]]
    >>> label_map(drawing, meaning, (1, 4), 0, "smaller").tolist()
    [[1, 2, 1, 0]]
    """
    labels = np.full(size, background, np.int32)
    for thing, (mask, left, top) in _layers(drawing, size, overlap):
        height, width = mask.shape
        labels[top : top + height, left : left + width][mask] = meaning[thing.label]
    return labels


def instances(drawing: Drawing, meaning: Mapping[str, int], size: tuple[int, int]) -> Instances:
    """The objects in the file's order, whole where they cover each other.

    Args:
        drawing: the objects.
        meaning: name -> class; objects of other names, and those outside the image, are left out.
        size: (H, W).
    """
    kept, masks = [], []
    for thing in drawing.objects:
        if thing.label not in meaning:
            continue
        patch = thing.shape.patch(*size)
        if patch.mask.any():
            kept.append(thing)
            masks.append(_whole(patch, size))
    stacked = torch.from_numpy(np.stack(masks) if masks else np.zeros((0, *size), bool))
    found = Instances.of(stacked, torch.tensor([meaning[thing.label] for thing in kept]))
    return found._replace(crowd=torch.tensor([thing.crowd for thing in kept], dtype=torch.bool))


def _layers(
    drawing: Drawing, size: tuple[int, int], overlap: Overlap
) -> list[tuple[Object, Patch]]:
    """The objects from the lowest to the highest."""
    layers = [(thing, thing.shape.patch(*size)) for thing in drawing.objects]
    if overlap == "smaller":
        layers.sort(key=lambda layer: -int(layer[1].mask.sum()))
    return sorted(layers, key=lambda layer: not layer[0].crowd)


def _whole(patch: Patch, size: tuple[int, int]) -> Array:
    mask = np.zeros(size, bool)
    height, width = patch.mask.shape
    mask[patch.top : patch.top + height, patch.left : patch.left + width] = patch.mask
    return mask
