"""Which images of a split a page shows, and which part of them: by a rule, not by hand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isnan

import torch
import torch.nn.functional as F
from torch import Tensor

from bpkd.boundary import trimap_bands
from bpkd.datasets.instances import Instances
from bpkd.metrics.confusion import confusion_matrix, iou_per_class


@dataclass
class Gain:
    """How much better the last network is on one image than the first.

    Attributes:
        index: of the image in its split.
        points: of trimap IoU, or of the quality of the objects found.
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


def found_quality(found: Instances, true: Instances, least: float = 0.5) -> float:
    """How well an image's objects were found: panoptic quality, all classes of the image together.

    Kirillov et al., Panoptic Segmentation, CVPR 2019: the sum of the IoUs of the pairs over the
    pairs, half of what is found and has none, and half of what is missed. An object is paired with
    the true one of its class of the largest IoU, the best scores first; what lies for the greater
    part in a crowd counts neither way.

    Args:
        found: with scores.
        true: the annotations.
        least: IoU of a pair.

    Returns:
        From 0 to 1; nan where there is no object, and none is found.

    Example:
        >>> square = torch.zeros(1, 4, 4).bool()
        >>> square[:, :2, :2] = True
        >>> true = Instances.of(square, torch.tensor([0]))
        >>> both, scores = square.repeat(2, 1, 1), torch.tensor([0.9, 0.8])
        >>> two = Instances.of(both, torch.tensor([0, 1]), scores)
        >>> round(found_quality(two, true), 4)  # 1 / (1 + 1 / 2)
        0.6667
    """
    crowd = true.masks[true.crowd].any(0) if bool(true.crowd.any()) else None
    if crowd is not None:
        share = (found.masks & crowd).flatten(1).sum(1) / found.masks.flatten(1).sum(1).clamp(min=1)
        found = found.only(share <= 0.5)
        true = true.only(~true.crowd)
    count = len(found.labels) + len(true.labels)
    if not count:
        return float("nan")
    if not len(found.labels) or not len(true.labels):
        return 0.0
    mine, theirs = (each.masks.flatten(1).float() for each in (found, true))
    both = mine @ theirs.T
    iou = both / (mine.sum(1)[:, None] + theirs.sum(1) - both).clamp(min=1)
    iou[found.labels[:, None] != true.labels] = 0
    assert found.scores is not None
    total, pairs = 0.0, 0
    for row in found.scores.argsort(descending=True, stable=True).tolist():
        value, column = iou[row].max(dim=0)
        if value >= least:
            total, pairs = total + float(value), pairs + 1
            iou[:, column] = 0
    return total / (pairs + 0.5 * (count - 2 * pairs))


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
