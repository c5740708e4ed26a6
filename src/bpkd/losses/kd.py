"""KD: each pixel's class probabilities follow the teacher's.

Hinton et al., Distilling the Knowledge in a Neural Network, arXiv 2015; there for one output an
image, here for one a pixel.
"""

from __future__ import annotations

from typing import ClassVar, Literal

import torch.nn.functional as F
from torch import Tensor

from bpkd.losses.bases import LogitLoss
from bpkd.losses.common import Output

Reduction = Literal["pixels", "elements", "images", "skds"]


def kd(
    student: Tensor,
    teacher: Tensor,
    temperature: float = 1.0,
    reduction: Reduction = "pixels",
    valid: Tensor | None = None,
) -> Tensor:
    """KL divergence of each pixel's class distribution from the teacher's.

    With p = softmax_c(teacher / T), q = softmax_c(student / T) and KL_i = Σ_c p log(p / q) at
    pixel i, the published implementations differ only in how they average:

    ========== ================================== =========================================
    reduction  value                              as in
    ========== ================================== =========================================
    pixels     T² mean_i KL_i                     CIRKD (the default: no size changes it)
    elements   mean over pixels and classes       IFVD; without T²
    images     T² Σ_i KL_i / N                    MMRazor's ``batchmean``
    skds       Σ_i (−Σ_c p log q) / (h w), T = 1  SKDS: cross-entropy, summed over images
    ========== ================================== =========================================

    Args:
        student: logits (N, C, h, w).
        teacher: logits of the same shape; no gradient flows to them.
        temperature: T > 0.
        reduction: see the table.
        valid: (N, 1, h, w) booleans, the pixels that count; None for all.

    Returns:
        A scalar; 0 where student and teacher agree (but for ``skds``, a cross-entropy).

    Example:
        >>> import torch
        >>> teacher = torch.tensor([0.75, 0.25]).log().view(1, 2, 1, 1)
        >>> student = torch.zeros(1, 2, 1, 1)  # KL = 0.75 log 1.5 + 0.25 log 0.5 = 0.1308
        >>> round(kd(student, teacher).item(), 4)
        0.1308
    """
    if reduction == "skds":
        temperature = 1.0
    log_q = F.log_softmax(student / temperature, dim=1)
    log_p = F.log_softmax(teacher.detach() / temperature, dim=1)
    difference = -log_q if reduction == "skds" else log_p - log_q
    per_pixel = (log_p.exp() * difference).sum(dim=1, keepdim=True)
    n, classes, h, w = student.shape
    pixels: Tensor | int = n * h * w
    if valid is not None:
        per_pixel = per_pixel * valid
        pixels = valid.sum().clamp(min=1)
    total = per_pixel.sum()
    if reduction == "pixels":
        return temperature**2 * total / pixels
    if reduction == "elements":
        return total / (pixels * classes)
    return temperature**2 * total / (n if reduction == "images" else h * w)


class KD(LogitLoss):
    """:func:`kd` on the networks' logits.

    Args:
        temperature: T > 0.
        reduction: see :func:`kd`.
        ignore_index: label of pixels that are left out; None keeps them, as published code does.
    """

    weights: ClassVar[dict[str, float]] = {"kd": 1.0}

    def __init__(
        self,
        temperature: float = 1.0,
        reduction: Reduction = "pixels",
        ignore_index: int | None = 255,
    ) -> None:
        super().__init__(temperature, ignore_index)
        self.reduction: Reduction = reduction

    def forward(self, student: Output, teacher: Output, labels: Tensor) -> dict[str, Tensor]:
        """Outputs of both networks and labels (N, H, W) -> the term ``kd``."""
        logits, target, valid = self.maps(student, teacher, labels)
        return {"kd": kd(logits, target, self.temperature, self.reduction, valid)}
