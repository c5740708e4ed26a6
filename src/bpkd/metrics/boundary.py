"""IoU near the outlines: in trimap bands of the labels, and of the boundaries themselves."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torchmetrics import Metric

from bpkd.boundary import trimap_bands
from bpkd.errors import UserError
from bpkd.metrics.confusion import areas, check_maps, confusion_matrix, iou_per_class


class TrimapIoU(Metric):
    """Mean IoU counted only near the labels' outlines, for several widths of the band.

    Trimap: Kohli et al., *Robust Higher Order Potentials for Enforcing Label Consistency*,
    IJCV 2009. The bands are those of :func:`bpkd.boundary.edges.trimap_bands`: every pixel within
    ``width`` pixels of another label, ignored areas included; ignored pixels themselves are
    left out. As in :class:`~bpkd.metrics.confusion.ConfusionMatrix`, areas are summed over all
    images before they are divided, and absent classes are nan and left out of the mean.

    Args:
        num_classes: number of classes C.
        widths: half-widths of the bands in pixels.
        ignore_index: the label of pixels to leave out.

    Example:
        The band of width 1 holds the middle two pixels; of those, the second is wrong.

        >>> metric = TrimapIoU(num_classes=2, widths=(1,))
        >>> metric.update(torch.tensor([[[0, 0, 0, 0, 1]]]), torch.tensor([[[0, 0, 1, 1, 1]]]))
        >>> {name: value.tolist() for name, value in metric.compute().items()}
        {'trimap_mIoU@1': 0.25, 'trimap_IoU@1': [0.5, 0.0]}
    """

    full_state_update = False
    matrices: Tensor

    def __init__(
        self, num_classes: int, widths: Sequence[int] = (1, 3, 5), ignore_index: int = 255
    ) -> None:
        super().__init__()
        if not widths or min(widths) < 1:
            raise UserError(f"widths are {tuple(widths)}: expected one or more, each at least 1")
        self.num_classes = num_classes
        self.widths = tuple(widths)
        self.ignore_index = ignore_index
        zeros = torch.zeros(len(self.widths), num_classes, num_classes, dtype=torch.int64)
        self.add_state("matrices", default=zeros, dist_reduce_fx="sum")

    def update(self, prediction: Tensor, labels: Tensor) -> None:
        """Count one batch: prediction and labels, both (N, H, W) integers."""
        valid = check_maps(prediction, labels, self.num_classes, self.ignore_index)
        bands = [trimap_bands(labels, width) & valid for width in self.widths]
        self.matrices = self.matrices + torch.stack(
            [confusion_matrix(prediction, labels, self.num_classes, band) for band in bands]
        )

    def compute(self) -> dict[str, Tensor]:
        """For each width w, ``trimap_mIoU@w`` (scalar) and ``trimap_IoU@w`` ((C,)), float64."""
        results = {}
        for matrix, width in zip(self.matrices, self.widths, strict=True):
            iou = iou_per_class(matrix)
            results[f"trimap_mIoU@{width}"] = iou.nanmean()
            results[f"trimap_IoU@{width}"] = iou
        return results

    def counts(self) -> dict[str, Tensor]:
        """For each width w ``trimap_IoU@w`` (2, C) and ``labels@w`` (C,), as in the whole image."""
        found = {}
        for matrix, width in zip(self.matrices, self.widths, strict=True):
            found[f"trimap_IoU@{width}"] = areas(matrix)
            found[f"labels@{width}"] = matrix.sum(1)
        return found


class BoundaryIoU(Metric):
    """Boundary IoU of each class, its intersections and unions summed over all images.

    Cheng et al., *Boundary IoU: Improving Object-Centric Image Segmentation Evaluation*, CVPR
    2021, equation 2, for class masks in place of instances: |B(y) ∩ B(p)| / |B(y) ∪ B(p)|,
    where B keeps the pixels of a mask within d pixels of its outside. d is ``dilation_ratio``
    of the image's diagonal, rounded, at least 1. Predicted boundary pixels on ignored labels
    are left out of the union, as the authors' panoptic evaluation does.

    Args:
        num_classes: number of classes C.
        dilation_ratio: d as a fraction of the diagonal; the authors take 0.02, and 0.005 for
            Cityscapes.
        ignore_index: the label of pixels to leave out.

    Example:
        Class 0 is right; of class 1's two boundary pixels one was predicted as class 2.

        >>> metric = BoundaryIoU(num_classes=3)
        >>> metric.update(torch.tensor([[[0, 0, 1, 2]]]), torch.tensor([[[0, 0, 1, 1]]]))
        >>> {name: value.tolist() for name, value in metric.compute().items()}
        {'boundary_mIoU': 0.5, 'boundary_IoU': [1.0, 0.5, 0.0]}
    """

    full_state_update = False
    intersections: Tensor
    sums: Tensor

    def __init__(
        self, num_classes: int, dilation_ratio: float = 0.02, ignore_index: int = 255
    ) -> None:
        super().__init__()
        if not 0 < dilation_ratio < 1:
            raise UserError(f"dilation_ratio is {dilation_ratio}: expected a fraction, 0 to 1")
        self.num_classes = num_classes
        self.dilation_ratio = dilation_ratio
        self.ignore_index = ignore_index
        for state in ("intersections", "sums"):
            zeros = torch.zeros(num_classes, dtype=torch.int64)
            self.add_state(state, default=zeros, dist_reduce_fx="sum")

    def update(self, prediction: Tensor, labels: Tensor) -> None:
        """Count one batch: prediction and labels, both (N, H, W) integers."""
        valid = check_maps(prediction, labels, self.num_classes, self.ignore_index)
        d = boundary_distance(labels.shape[1], labels.shape[2], self.dilation_ratio)
        true = mask_boundary(labels, d) & valid
        predicted = mask_boundary(prediction, d) & valid
        both = self._count(labels, true & predicted & (labels == prediction))
        self.intersections = self.intersections + both
        self.sums = self.sums + self._count(labels, true) + self._count(prediction, predicted)

    def _count(self, classes: Tensor, where: Tensor) -> Tensor:
        counted = torch.where(where, classes.long(), self.num_classes)  # one more bin, dropped
        return torch.bincount(counted.flatten(), minlength=self.num_classes + 1)[:-1]

    def compute(self) -> dict[str, Tensor]:
        """``boundary_mIoU`` (scalar) and ``boundary_IoU`` ((C,), nan if absent), float64."""
        iou = self.intersections.double() / (self.sums - self.intersections)
        return {"boundary_mIoU": iou.nanmean(), "boundary_IoU": iou}

    def counts(self) -> dict[str, Tensor]:
        """``boundary_IoU``: intersections and sums of both boundaries, (2, C)."""
        return {"boundary_IoU": torch.stack([self.intersections, self.sums])}


def boundary_distance(height: int, width: int, dilation_ratio: float) -> int:
    """Boundary width in pixels: a share of the diagonal, a half rounded to even, at least 1.

    Example:
        The diagonal is 125 pixels: 2.5 is rounded to the even 2.

        >>> boundary_distance(75, 100, dilation_ratio=0.02)
        2
    """
    return max(1, round(dilation_ratio * math.hypot(height, width)))


def mask_boundary(labels: Tensor, d: int) -> Tensor:
    """Pixels within Chebyshev distance ``d`` of another label or of the outside of the image.

    A pixel of class c is in the boundary of c's mask exactly when it is one of these, so one
    map serves all classes.

    Args:
        labels: (N, H, W) integers.
        d: distance in pixels, at least 1.

    Returns:
        (N, H, W) bool.

    Raises:
        UserError: a distance below 1, a wrong shape or dtype.

    Example:
        >>> mask_boundary(torch.zeros(1, 3, 4, dtype=torch.uint8), d=1).int().tolist()
        [[[1, 1, 1, 1], [1, 0, 0, 1], [1, 1, 1, 1]]]
    """
    boundary = trimap_bands(labels, d)
    boundary[:, :d] = boundary[:, -d:] = True
    boundary[:, :, :d] = boundary[:, :, -d:] = True
    return boundary
