"""IFVD: how near each pixel's features are to the centre of its class follows the teacher.

Wang et al., Intra-class Feature Variation Distillation for Semantic Segmentation, ECCV 2020.
"""

from __future__ import annotations

from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from bpkd.losses.bases import FeatureLoss
from bpkd.losses.features import feature_maps, nearest_labels
from bpkd.networks.base import SegOutput


def class_cosines(
    maps: Tensor, labels: Tensor, num_classes: int, ignore_index: int = 255
) -> Tensor:
    """Cosine of each pixel's features and the mean of its class in its image.

    Args:
        maps: features (N, D, h, w).
        labels: (N, h, w) integers, 0 .. num_classes - 1 or ``ignore_index``.
        num_classes: number of classes C.
        ignore_index: label of pixels without a class.

    Returns:
        (N, h, w) in [-1, 1]; 1, without gradient, at pixels without a class.

    Example:
        >>> maps = torch.tensor([[[[3.0, 0.0, 5.0]], [[0.0, 3.0, 5.0]]]])
        >>> class_cosines(maps, torch.tensor([[[0, 0, 1]]]), num_classes=2)  # centre (1.5, 1.5)
        tensor([[[0.7071, 0.7071, 1.0000]]])
    """
    n, channels = maps.shape[:2]
    pixels = maps.movedim(1, -1)[labels != ignore_index]
    image = torch.arange(n, device=labels.device).view(n, 1, 1) * num_classes
    groups = (labels.long() + image)[labels != ignore_index]
    sums = maps.new_zeros(n * num_classes, channels).index_add(0, groups, pixels)
    counts = torch.bincount(groups, minlength=n * num_classes).unsqueeze(1)
    centres = sums / counts.clamp(min=1)
    out = maps.new_ones(labels.shape)
    out[labels != ignore_index] = F.cosine_similarity(pixels, centres[groups], dim=1)
    return out


def ifvd(
    student: Tensor,
    teacher: Tensor,
    labels: Tensor,
    num_classes: int,
    ignore_index: int = 255,
) -> Tensor:
    """Mean over all pixels of the squared difference of both :func:`class_cosines`.

    As in the authors' code, a pixel without a class adds 0 and counts in the mean.

    Args:
        student: features (N, D, h, w).
        teacher: features (N, D', h, w); no gradient flows to them.
        labels: (N, h, w) integers at the features' size.
        num_classes: number of classes C.
        ignore_index: label of pixels without a class.

    Returns:
        A scalar >= 0.

    Example:
        >>> student = torch.tensor([[[[3.0, 0.0]], [[0.0, 3.0]]]])  # 45 degrees off the centre
        >>> labels = torch.zeros(1, 1, 2, dtype=torch.int64)
        >>> round(ifvd(student, torch.ones(1, 2, 1, 2), labels, 1).item(), 4)  # (0.7071 - 1)²
        0.0858
    """
    ours = class_cosines(student, labels, num_classes, ignore_index)
    return F.mse_loss(ours, class_cosines(teacher.detach(), labels, num_classes, ignore_index))


class IFVD(FeatureLoss):
    """:func:`ifvd` on feature maps, which may differ in channels.

    Args:
        feature: name of the features.
        ignore_index: label of pixels without a class.

    The authors' recipe weighs it 200 (with kd 10 and holistic 0.001), CIRKD's 20 (with kd 1).
    """

    weights: ClassVar[dict[str, float]] = {"ifvd": 200.0}
    task: ClassVar[str] = "semantic"
    ignore_index: int

    def __init__(self, feature: str = "head", ignore_index: int = 255) -> None:
        super().__init__(feature, ignore_index)

    def forward(self, student: SegOutput, teacher: SegOutput, labels: Tensor) -> dict[str, Tensor]:
        """Outputs of both networks and labels (N, H, W) -> the term ``ifvd``."""
        maps, target = feature_maps(student, teacher, self.feature)
        small = nearest_labels(labels, maps.shape[-2:])
        num_classes = student.logits.shape[1]
        return {"ifvd": ifvd(maps, target, small, num_classes, self.ignore_index)}
