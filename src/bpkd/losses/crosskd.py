"""CrossKD: the teacher's head makes of the student's features what it makes of its own.

Wang et al., CrossKD: Cross-Head Knowledge Distillation for Object Detection, CVPR 2024; the loss of
class scores, and how features are aligned before they enter the other head.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def crosskd(
    student: Tensor,
    teacher: Tensor,
    weights: Tensor | None = None,
    positives: Tensor | float | None = None,
    beta: float = 1.0,
) -> Tensor:
    """|sigmoid(student) - p|^β times the binary cross-entropy to p = sigmoid(teacher).

    The factor is differentiated too. BCKD has the same function, of the student's own scores.

    Args:
        student: logits (R, C), a row a place.
        teacher: logits of the same shape; no gradient flows to them.
        weights: (R,); None: 1 each.
        positives: what the sum over rows and classes is divided by; None, with weights None: the
            mean over all entries.
        beta: β > 0.

    Returns:
        A scalar >= 0; not 0 at equality where β is 0 alone.

    Example:
        >>> teacher = torch.tensor([[0.75]]).logit()  # |½ - ¾| log 2
        >>> round(crosskd(torch.zeros(1, 1), teacher).item(), 6)
        0.173287
    """
    p = teacher.detach().sigmoid()
    entropy = F.binary_cross_entropy_with_logits(student, p, reduction="none")
    terms = (student.sigmoid() - p).abs().pow(beta) * entropy
    if weights is None and positives is None:
        return terms.mean()
    total = terms.sum() if weights is None else (terms * weights[:, None]).sum()
    divisor = torch.as_tensor(len(student) if positives is None else positives).to(total)
    return total / (divisor + 2.0**-23)


def align_scale(student: Tensor, teacher: Tensor) -> Tensor:
    """The student's features at the teacher's mean and deviation, channel by channel.

    Over batch and space, deviations with n - 1 (1e-6 is added to the student's).

    Args:
        student: (N, D, h, w).
        teacher: (N, D, h', w'); no gradient flows to them.

    Example:
        >>> maps = torch.tensor([0.0, 2.0]).view(1, 1, 1, 2)
        >>> align_scale(maps, torch.tensor([10.0, 14.0]).view(1, 1, 1, 2)).round().flatten()
        tensor([10., 14.])
    """
    teacher = teacher.detach()
    sides = (0, 2, 3)
    std, mean = torch.std_mean(student, dim=sides, keepdim=True)
    std_t, mean_t = torch.std_mean(teacher, dim=sides, keepdim=True)
    return (student - mean) / (std + 1e-6) * std_t + mean_t
