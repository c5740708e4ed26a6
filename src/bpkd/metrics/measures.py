"""Every measure of a segmentation at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from bpkd.metrics.boundary import BoundaryIoU, TrimapIoU
from bpkd.metrics.confusion import ConfusionMatrix

#: Numbers by name: ``mIoU`` and other means as floats, ``IoU`` and others by class as lists.
Scores = dict[str, Any]


class Measures(nn.Module):
    """aAcc, mIoU, mAcc, trimap IoU at several widths, and Boundary IoU.

    Args:
        num_classes: C.
        trimap_widths: in pixels.
        dilation_ratio: Boundary IoU's width as a share of the image's diagonal.
        ignore_index: label of pixels that do not count.
    """

    def __init__(
        self,
        num_classes: int,
        trimap_widths: Sequence[int] = (1, 3, 5),
        dilation_ratio: float = 0.02,
        ignore_index: int = 255,
    ) -> None:
        super().__init__()
        self.parts = nn.ModuleList(
            [
                ConfusionMatrix(num_classes, ignore_index),
                TrimapIoU(num_classes, tuple(trimap_widths), ignore_index),
                BoundaryIoU(num_classes, dilation_ratio, ignore_index),
            ]
        )

    def update(self, prediction: Tensor, labels: Tensor) -> None:
        """Count a batch: classes (N, H, W) and labels (N, H, W)."""
        for part in self.parts:
            part.update(prediction, labels)  # type: ignore[operator]

    @property
    def confusion(self) -> Tensor:
        """Pixels of each pair of classes, counted in this process: (C, C) int64; rows are true."""
        matrix: Tensor = self.parts[0].matrix  # type: ignore[assignment]
        return matrix

    def compute(self) -> Scores:
        """The numbers over all that was counted, in all processes."""
        scores: Scores = {}
        for part in self.parts:
            for name, value in part.compute().items():  # type: ignore[operator]
                scores[name] = value.item() if value.ndim == 0 else value.tolist()
        return scores

    def counts(self) -> dict[str, Tensor]:
        """What was counted so far: int64, of which every IoU is a ratio.

        ``IoU``, ``trimap_IoU@w`` and ``boundary_IoU`` are (2, C): the intersections, and the
        sums of the labelled and the predicted areas, so that IoU = i / (s - i); ``labels`` and
        ``labels@w`` are the labelled areas (C,), of all and in the band.
        """
        return {
            name: value
            for part in self.parts
            for name, value in part.counts().items()  # type: ignore[operator]
        }

    def reset(self) -> None:
        """Forget what was counted."""
        for part in self.parts:
            part.reset()  # type: ignore[operator]


def scalars(scores: Scores) -> dict[str, float]:
    """The means alone.

    Example:
        >>> scalars({"mIoU": 0.5, "IoU": [0.25, 0.75]})
        {'mIoU': 0.5}
    """
    return {name: value for name, value in scores.items() if not isinstance(value, list)}
