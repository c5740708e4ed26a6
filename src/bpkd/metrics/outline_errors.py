"""Where a prediction is wrong: by distance to the outline, thickness, confidence, teacher."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import torch
import torch.nn.functional as F
from torch import Tensor

from bpkd.boundary import trimap_bands
from bpkd.boundary.label_maps import shrink
from bpkd.boundary.windows import mixed, window
from bpkd.metrics.confusion import check_maps, confusion_matrix

#: Bands whose insides end the bins of distance: 0, 1, 2, 3 to 5, 6 to 10, more than 10 pixels.
BANDS = (1, 2, 3, 6, 11)
DISTANCES = ("0", "1", "2", "3-5", "6-10", ">10")
#: Sides of squares that fit into an object: it is thinner than 3, 3 or 4, 5 to 8, ... pixels.
SIDES = (3, 5, 9, 17, 33)
THICKNESSES = ("1-2", "3-4", "5-8", "9-16", "17-32", ">32")
#: Bins of distance that count as near an outline: within 2 pixels.
NEAR = 3
#: Bins of confidence.
CONFIDENCES = 15


def distance_bins(labels: Tensor, bands: Sequence[int] = BANDS) -> Tensor:
    """In which bin of Chebyshev distance to the next outline each pixel is.

    A pixel that touches another label, ignored areas included, has distance 0. The frame is no
    outline.

    Args:
        labels: (N, H, W) integers.
        bands: widths in ascending order; bin b holds what is in no band before number b.

    Returns:
        (N, H, W) int64, 0 .. len(bands).

    Example:
        >>> distance_bins(torch.tensor([[[0, 0, 0, 0, 0, 1]]])).tolist()
        [[[3, 3, 2, 1, 0, 0]]]
    """
    outside = [~trimap_bands(labels, width) for width in bands]
    return torch.stack(outside).sum(dim=0)


def thickness_bins(labels: Tensor, sides: Sequence[int] = SIDES) -> Tensor:
    """How many of the squares fit into a pixel's object and cover the pixel.

    An opening of each class's region by a square: thin parts are those that it takes away. What
    the frame cuts goes on behind it.

    Args:
        labels: (N, H, W) integers.
        sides: odd sides of squares in ascending order.

    Returns:
        (N, H, W) int64, 0 .. len(sides).

    Example:
        A stripe of one pixel in a wide area.

        >>> labels = torch.zeros(1, 5, 9, dtype=torch.int64)
        >>> labels[:, :, 4] = 1
        >>> thickness_bins(labels, sides=(3,))[0, 2].tolist()
        [1, 1, 1, 1, 0, 1, 1, 1, 1]
    """
    lowest, highest = (int(value) for value in torch.aminmax(labels))
    codes = shrink(labels, lowest, highest)
    total = torch.zeros_like(labels, dtype=torch.int64)
    for side in sides:
        middles = (~mixed(codes, side)).byte()
        total += window(F.pad(middles, [side // 2] * 4), side, torch.maximum)
    return total


@dataclass
class OutlineErrors:
    """Counts of pixels with a label; those of several images or runs are added.

    Attributes:
        by_distance: (6, 2, 2) by :func:`distance_bins`, student right, teacher right; without a
            teacher all stands under "right".
        agreement: (6,) pixels to which student and teacher give the same class.
        by_thickness: (6, 2) by :func:`thickness_bins` and student right.
        pairs: (2, C, C) near outlines and away: true class, predicted class.
        confidence: (2, 15, 3) near outlines and away, by the probability of the predicted class:
            pixels, sum of the probabilities, pixels that are right.
    """

    by_distance: Tensor
    agreement: Tensor
    by_thickness: Tensor
    pairs: Tensor
    confidence: Tensor

    def __add__(self, other: OutlineErrors) -> OutlineErrors:
        names = [field.name for field in fields(self)]
        return OutlineErrors(**{n: getattr(self, n) + getattr(other, n) for n in names})


def outline_errors(
    probabilities: Tensor, labels: Tensor, teacher: Tensor | None = None, ignore_index: int = 255
) -> OutlineErrors:
    """Count one batch.

    Args:
        probabilities: the student's, (N, C, H, W).
        labels: (N, H, W) integers.
        teacher: its predicted classes (N, H, W), or None.
        ignore_index: the label of pixels to leave out.

    Example:
        The last pixel is wrong; it lies on the outline.

        >>> student = torch.tensor([[[[0.9, 0.8, 0.6]], [[0.1, 0.2, 0.4]]]])
        >>> errors = outline_errors(student, torch.tensor([[[0, 0, 1]]]))
        >>> errors.by_distance[:, 0].sum(dim=1).tolist()  # wrong, by distance
        [1, 0, 0, 0, 0, 0]
        >>> errors.pairs[0].tolist()
        [[2, 0], [1, 0]]
    """
    labels = labels.long()
    confidence, prediction = probabilities.max(dim=1)
    classes = probabilities.shape[1]
    valid = check_maps(prediction, labels, classes, ignore_index)
    distance, thickness = distance_bins(labels), thickness_bins(labels)
    right = (prediction == labels).long()
    taught = torch.ones_like(right) if teacher is None else (teacher == labels).long()
    agree = torch.zeros_like(valid) if teacher is None else (teacher == prediction) & valid
    bins = len(BANDS) + 1
    near = distance < NEAR
    zone = (~near).long()
    level = (confidence * CONFIDENCES).long().clamp(max=CONFIDENCES - 1)
    cell = (zone * CONFIDENCES + level)[valid]
    sums = [torch.ones_like(cell, dtype=torch.float64), confidence[valid], right[valid]]
    by_level = torch.stack(
        [torch.bincount(cell, one.double(), minlength=2 * CONFIDENCES) for one in sums], dim=1
    )
    return OutlineErrors(
        _count((distance * 2 + right) * 2 + taught, valid, bins * 4).view(bins, 2, 2),
        _count(distance, agree, bins),
        _count(thickness * 2 + right, valid, (len(SIDES) + 1) * 2).view(-1, 2),
        torch.stack(
            [confusion_matrix(prediction, labels, classes, valid & of) for of in (near, ~near)]
        ).cpu(),
        by_level.view(2, CONFIDENCES, 3).cpu(),
    )


def _count(index: Tensor, where: Tensor, length: int) -> Tensor:
    return torch.bincount(index[where], minlength=length).cpu()


def calibration_error(confidence: Tensor) -> float:
    """ECE: the mean gap of confidence and accuracy, a bin's share of the pixels its weight.

    Guo et al., *On Calibration of Modern Neural Networks*, ICML 2017, equation 5.

    Args:
        confidence: (B, 3) pixels, sum of the probabilities, pixels that are right.

    Returns:
        A fraction; nan without a pixel.

    Example:
        Four pixels of confidence 0.9, of which three are right.

        >>> round(calibration_error(torch.tensor([[0.0, 0.0, 0.0], [4.0, 3.6, 3.0]])), 4)
        0.15
    """
    pixels, sums, right = confidence.double().unbind(dim=1)
    return float((sums - right).abs().sum() / pixels.sum())
