"""What a student learns from labels alone: cross-entropy, and what helps rare classes in it.

Class weights, hard pixels only (OHEM) and smoothed labels change the cross-entropy; Dice and Lovász
stand beside it. The last two are those of segmentation-models-pytorch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from bpkd.errors import UserError
from bpkd.support.extras import extra


def cross_entropy(
    logits: Tensor,
    labels: Tensor,
    ignore_index: int = 255,
    class_weights: Sequence[float] | None = None,
    label_smoothing: float = 0.0,
    kept: Tensor | None = None,
) -> Tensor:
    """Σ_i w_{y_i} CE_i / number of labelled pixels; 0 where there is none.

    The divisor knows no weights, as MMSegmentation's with ``avg_non_ignore``.

    Args:
        logits: (N, C, H, W).
        labels: (N, H, W) int64.
        ignore_index: label of pixels without a class.
        class_weights: w, one a class; None: 1 each.
        label_smoothing: ε, the share of the target that all classes get alike, as torch has it.
        kept: (N, H, W) booleans, the pixels that the sum runs over; None for all.

    Returns:
        A scalar >= 0.

    Example:
        >>> logits = torch.zeros(1, 2, 1, 3)  # CE = log 2 = 0.6931 at two labelled pixels
        >>> labels = torch.tensor([[[0, 1, 255]]])
        >>> round(cross_entropy(logits, labels, class_weights=[3.0, 1.0]).item(), 4)  # 2 · log 2
        1.3863
    """
    weights = None if class_weights is None else logits.new_tensor(class_weights)
    given: dict[str, Any] = {
        "weight": weights,
        "ignore_index": ignore_index,
        "label_smoothing": label_smoothing,
    }
    labelled = (labels != ignore_index).sum().clamp(min=1)
    if kept is None:
        return F.cross_entropy(logits, labels, reduction="sum", **given) / labelled
    terms = F.cross_entropy(logits, labels, reduction="none", **given)
    return torch.where(kept, terms, 0.0).sum() / labelled


@torch.no_grad()
def hard_pixels(
    logits: Tensor,
    labels: Tensor,
    threshold: float = 0.7,
    min_kept: int = 100_000,
    ignore_index: int = 255,
) -> Tensor:
    """Labelled pixels whose own class has a probability below a threshold.

    Where these are fewer than ``min_kept`` an image on average, the threshold is raised to the
    probability that comes next after so many, as in MMSegmentation's OHEM sampler.

    Args:
        logits: (N, C, H, W).
        labels: (N, H, W) int64.
        threshold: in [0, 1].
        min_kept: pixels an image.
        ignore_index: label of pixels without a class.

    Returns:
        (N, H, W) booleans.

    Example:
        >>> logits = torch.tensor([[[[0.0, 2.0, 4.0, 6.0]], [[0.0, 0.0, 0.0, 0.0]]]])
        >>> hard_pixels(logits, torch.zeros(1, 1, 4).long(), threshold=0.7, min_kept=0)
        tensor([[[ True, False, False, False]]])
        >>> hard_pixels(logits, torch.zeros(1, 1, 4).long(), threshold=0.7, min_kept=3)
        tensor([[[ True,  True,  True, False]]])
    """
    labelled = labels != ignore_index
    own = torch.where(labelled, labels, 0)[:, None]
    probability = logits.softmax(dim=1).gather(1, own).squeeze(1)
    found = probability[labelled]
    if not len(found):
        return labelled
    place = min(min_kept * len(logits), len(found) - 1)
    least = found.kthvalue(place + 1).values
    return labelled & (probability < least.clamp(min=threshold))


@dataclass(frozen=True)
class TaskLoss:
    """The student's own loss on logits at the labels' size.

    Args:
        class_weights: one a class; None: 1 each.
        label_smoothing: share of the target that all classes get alike, in [0, 1).
        ohem: threshold and least pixels an image of :func:`hard_pixels`; None: every pixel.
        dice: weight of the Dice loss (mean over the batch's classes); 0: without.
        lovasz: weight of the Lovász-softmax loss (mean over the batch's classes); 0: without.
    """

    class_weights: tuple[float, ...] | None = None
    label_smoothing: float = 0.0
    ohem: tuple[float, int] | None = None
    dice: float = 0.0
    lovasz: float = 0.0

    def __call__(self, logits: Tensor, labels: Tensor, ignore_index: int = 255) -> Tensor:
        """Logits (N, C, H, W), float32 or better, and labels (N, H, W) int64 -> a scalar."""
        given, classes = self.class_weights, logits.shape[1]
        if given is not None and len(given) != classes:
            raise UserError(
                f"class_weights: expected one for each of the {classes} classes, got {len(given)}"
            )
        kept = None
        if self.ohem is not None:
            kept = hard_pixels(logits, labels, *self.ohem, ignore_index=ignore_index)
        total = cross_entropy(logits, labels, ignore_index, given, self.label_smoothing, kept)
        if not (self.dice or self.lovasz) or not (labels != ignore_index).any():
            return total
        losses = library()
        if self.dice:
            measure = losses.DiceLoss("multiclass", ignore_index=ignore_index)
            total = total + self.dice * measure(logits, labels)
        if self.lovasz:
            measure = losses.LovaszLoss("multiclass", ignore_index=ignore_index)
            total = total + self.lovasz * measure(logits.float(), labels)  # it has no other
        return total


CROSS_ENTROPY = TaskLoss()


def library() -> Any:
    """Where Dice and Lovász come from.

    Raises:
        UserError: segmentation-models-pytorch is not installed.
    """
    return extra("segmentation_models_pytorch.losses", "task_loss.dice or task_loss.lovasz", "smp")
