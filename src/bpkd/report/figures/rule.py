"""Which images of a split a page shows, and which part of them: by a rule, not by hand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isnan

import torch
import torch.nn.functional as F
from torch import Tensor

from bpkd.boundary import trimap_bands
from bpkd.metrics.confusion import confusion_matrix, iou_per_class


@dataclass
class Gain:
    """How much better the last network follows one image's outlines than the first.

    Attributes:
        index: of the image in its split.
        points: of trimap IoU.
    """

    index: int
    points: float


def trimap_gain(first: Tensor, last: Tensor, labels: Tensor, classes: int, width: int) -> float:
    """Points of trimap IoU of one image, the mean over its classes, that the last is ahead.

    Args:
        first, last: predicted classes (H, W).
        labels: (H, W); those that are no class do not count.
        classes: C.
        width: of the band round outlines, in pixels.

    Returns:
        Per cent; nan where no labelled pixel is in the band.

    Example:
        >>> labels = torch.tensor([[0, 0, 1, 1]])
        >>> trimap_gain(torch.zeros_like(labels), labels, labels, classes=2, width=1)
        75.0
    """
    band = trimap_bands(labels[None], width) & (labels < classes) & (labels >= 0)
    present = torch.unique(labels[band[0]])
    scores = [
        iou_per_class(confusion_matrix(each[None], labels[None], classes, band))[present].mean()
        for each in (first, last)
    ]
    return 100 * float(scores[1] - scores[0])


def chosen(gains: Sequence[Gain], rows: int) -> list[Gain]:
    """The largest gains, and beside each the largest loss: half of the rows show what got worse.

    Args:
        gains: of the images; those without a number are passed over.
        rows: how many to show.

    Returns:
        The largest gain, the largest loss, the second gain, the second loss ...; no image twice.

    Example:
        >>> gains = [Gain(0, 1.0), Gain(1, 5.0), Gain(2, -4.0), Gain(3, 3.0)]
        >>> [gain.index for gain in chosen(gains, rows=3)]
        [1, 2, 3]
    """
    known = sorted((g for g in gains if not isnan(g.points)), key=lambda g: (-g.points, g.index))
    found: list[Gain] = []
    while known and len(found) < rows:
        found.append(known.pop(0 if len(found) % 2 == 0 else -1))
    return found


def window(
    predictions: Sequence[Tensor], labels: Tensor, size: tuple[int, int], width: int
) -> tuple[slice, slice]:
    """The part of an image where the networks differ most along outlines.

    Args:
        predictions: classes (H, W), one a network.
        labels: (H, W).
        size: of the part, at most that of the image.
        width: of the band round outlines, in pixels.

    Example:
        >>> labels = torch.tensor([[0, 0, 1, 1, 1, 1, 0, 0]])
        >>> other = torch.tensor([[0, 0, 1, 1, 1, 0, 0, 0]])
        >>> window([labels, other], labels, (1, 4), width=1)
        (slice(0, 1, None), slice(2, 6, None))
    """
    differ = torch.stack([each != predictions[0] for each in predictions]).any(dim=0)
    band = trimap_bands(labels[None], width)[0]
    # A thousandth for each pixel of the band: where all agree, the part with the most outline.
    counts = (differ & band).float() + band.float() / 1000
    share = F.avg_pool2d(counts[None, None].double(), size, stride=1)[0, 0]
    row, column = divmod(int((share * 1e7).round().flatten().argmax()), share.shape[1])
    return slice(row, row + size[0]), slice(column, column + size[1])
