"""Mean IoU, mean accuracy and pixel accuracy, from one confusion matrix over the data set."""

from __future__ import annotations

import torch
from torch import Tensor
from torchmetrics import Metric

from bpkd.boundary import check_shape, check_values
from bpkd.errors import UserError


def confusion_matrix(prediction: Tensor, labels: Tensor, num_classes: int, where: Tensor) -> Tensor:
    """Count the pixels of each pair of classes.

    Args:
        prediction: (N, H, W) predicted classes, integers.
        labels: (N, H, W) true classes, integers.
        num_classes: number of classes C; both maps are in 0 .. C - 1 where they count.
        where: (N, H, W) bool, the pixels that count.

    Returns:
        (C, C) int64: row = true class, column = predicted class.

    Example:
        >>> prediction, labels = torch.tensor([[[0, 1, 1, 1]]]), torch.tensor([[[0, 0, 1, 255]]])
        >>> confusion_matrix(prediction, labels, 2, labels != 255).tolist()
        [[1, 1], [0, 1]]
    """
    rest = num_classes * num_classes  # one more bin, for the pixels that do not count
    pairs = torch.where(where, labels.long() * num_classes + prediction, rest)
    counts = torch.bincount(pairs.flatten(), minlength=rest + 1)
    return counts[:rest].view(num_classes, num_classes)


def iou_per_class(matrix: Tensor) -> Tensor:
    """Intersection over union of each class of a (C, C) confusion matrix; nan for 0 / 0.

    Returns:
        (C,) float64.

    Example:
        >>> iou_per_class(torch.tensor([[1, 1, 0], [0, 2, 0], [0, 0, 0]])).tolist()
        [0.5, 0.6666666666666666, nan]
    """
    intersection = matrix.diagonal()
    return intersection.double() / (matrix.sum(0) + matrix.sum(1) - intersection)


def areas(matrix: Tensor) -> Tensor:
    """Intersection, and labelled plus predicted area, of each class of a (C, C) matrix: (2, C).

    Example:
        >>> areas(torch.tensor([[1, 1], [0, 2]])).tolist()
        [[1, 2], [3, 5]]
    """
    return torch.stack([matrix.diagonal(), matrix.sum(0) + matrix.sum(1)])


def check_maps(prediction: Tensor, labels: Tensor, num_classes: int, ignore_index: int) -> Tensor:
    """Check a pair of label maps and return where the labels are not ignored.

    Args:
        prediction: (N, H, W) integers in 0 .. num_classes - 1.
        labels: (N, H, W) integers in the same range, or ``ignore_index``.
        num_classes: number of classes.
        ignore_index: the label of pixels to leave out.

    Returns:
        (N, H, W) bool.

    Raises:
        UserError: a wrong shape, dtype or value.
    """
    check_shape(prediction, "prediction")
    check_shape(labels)
    if prediction.shape != labels.shape:
        raise UserError(
            f"prediction: shape is {tuple(prediction.shape)}, expected that of the labels, "
            f"{tuple(labels.shape)}; resize the logits to the labels before the argmax"
        )
    valid = labels.long() != ignore_index  # long: as bytes, 255 would equal -1
    for name, values in (("labels", labels), ("prediction", prediction)):
        extremes = torch.aminmax(torch.where(valid, values, 0))
        check_values(torch.stack(extremes), num_classes, None, name)
    return valid


class ConfusionMatrix(Metric):
    """Accuracy and IoU over a data set: areas are summed over all images first, then divided.

    Ignored pixels leave both maps. IoU = intersection / union and accuracy = intersection /
    labelled area of each class; 0 / 0 is nan and left out of the means, of IoU and accuracy
    separately. These are MMSegmentation's rules. The state is one (C, C) int64 matrix: it
    stays on the device and is summed over processes.

    Args:
        num_classes: number of classes C.
        ignore_index: the label of pixels to leave out.

    Example:
        >>> metric = ConfusionMatrix(num_classes=2)
        >>> metric.update(torch.tensor([[[0, 1, 1, 1]]]), torch.tensor([[[0, 0, 1, 255]]]))
        >>> results = metric.compute()
        >>> {name: results[name].tolist() for name in ("aAcc", "mIoU", "mAcc")}
        {'aAcc': 0.6666666666666666, 'mIoU': 0.5, 'mAcc': 0.75}
        >>> results["IoU"].tolist(), results["Acc"].tolist()
        ([0.5, 0.5], [0.5, 1.0])
    """

    full_state_update = False
    matrix: Tensor

    def __init__(self, num_classes: int, ignore_index: int = 255) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.ignore_index = ignore_index
        zeros = torch.zeros(num_classes, num_classes, dtype=torch.int64)
        self.add_state("matrix", default=zeros, dist_reduce_fx="sum")

    def update(self, prediction: Tensor, labels: Tensor) -> None:
        """Count one batch: prediction and labels, both (N, H, W) integers."""
        valid = check_maps(prediction, labels, self.num_classes, self.ignore_index)
        counts = confusion_matrix(prediction, labels, self.num_classes, valid)
        self.matrix = self.matrix + counts

    def compute(self) -> dict[str, Tensor]:
        """Fractions in [0, 1], float64: aAcc, mIoU, mAcc (scalars), IoU and Acc ((C,))."""
        iou = iou_per_class(self.matrix)
        correct = self.matrix.diagonal().double()
        accuracy = correct / self.matrix.sum(1)
        return {
            "aAcc": correct.sum() / self.matrix.sum(),
            "mIoU": iou.nanmean(),
            "mAcc": accuracy.nanmean(),
            "IoU": iou,
            "Acc": accuracy,
        }

    def counts(self) -> dict[str, Tensor]:
        """``IoU``: intersections and sums of both areas (2, C); ``labels``: labelled areas (C,)."""
        return {"IoU": areas(self.matrix), "labels": self.matrix.sum(1)}
