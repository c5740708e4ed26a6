"""The objects of one image: what a data set knows of them, and what a network finds."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor


class Instances(NamedTuple):
    """K objects of an image of H x W pixels.

    Attributes:
        masks: (K, H, W) bool.
        labels: (K,) int64, the class of each.
        boxes: (K, 4) float32, x1 y1 x2 y2 in pixels.
        crowd: (K,) bool; a crowd is several objects under one mask.
        scores: (K,) of predictions; None for annotations.
    """

    masks: Tensor
    labels: Tensor
    boxes: Tensor
    crowd: Tensor
    scores: Tensor | None = None
