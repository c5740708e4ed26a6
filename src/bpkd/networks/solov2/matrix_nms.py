"""Matrix NMS: a mask loses score where a better one of its class already covers it.

Wang et al., SOLOv2: Dynamic and Fast Instance Segmentation, NeurIPS 2020, section 3.3.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

Kernel = Literal["gaussian", "linear"]


def matrix_nms(
    masks: Tensor,
    labels: Tensor,
    scores: Tensor,
    kernel: Kernel = "gaussian",
    sigma: float = 2.0,
    nms_pre: int | None = None,
    filter_threshold: float | None = None,
    max_num: int | None = None,
) -> tuple[Tensor, Tensor]:
    """Scores after each mask's overlaps with better ones of its class, best first.

    With IoU_ij of i and j of one class, i the better, and c_i = max over i's betters of their IoU
    with i, a score is multiplied by min_i f(IoU_ij) / f(c_i): what has itself been lowered lowers
    less. f is exp(-sigma IoU²) or 1 - IoU.

    Args:
        masks: (K, h, w), 0 and 1 or booleans.
        labels: (K,).
        scores: (K,).
        kernel: f.
        sigma: of the gaussian.
        nms_pre: how many of the best take part; None: all.
        filter_threshold: least score that stays; None: any.
        max_num: how many stay at most; None: all.

    Returns:
        scores: (M,), descending.
        indices: (M,), which of the K.

    Example:
        >>> masks = torch.tensor([[[1, 1, 0]], [[1, 0, 0]]])  # an IoU of a half
        >>> labels, scores = torch.tensor([4, 4]), torch.tensor([0.8, 0.6])
        >>> matrix_nms(masks, labels, scores, "linear")
        (tensor([0.8000, 0.3000]), tensor([0, 1]))
    """
    # A stable sort, so that equal scores give one result on each machine.
    order = scores.argsort(descending=True, stable=True)[:nms_pre]
    scores = scores[order] * _decay(masks[order], labels[order], scores.dtype, kernel, sigma)
    if filter_threshold is not None:
        kept = scores >= filter_threshold
        scores, order = scores[kept], order[kept]
    again = scores.argsort(descending=True, stable=True)[:max_num]
    return scores[again], order[again]


def _decay(
    masks: Tensor, labels: Tensor, dtype: torch.dtype, kernel: Kernel, sigma: float
) -> Tensor:
    """Each mask's factor, the masks being in order of their scores."""
    if len(masks) == 0:
        return torch.ones(0, dtype=dtype, device=masks.device)
    flat = masks.flatten(1).to(dtype)
    shared, areas = flat @ flat.T, flat.sum(1)
    iou = shared / (areas[:, None] + areas - shared)
    iou = torch.where(labels[:, None] == labels, iou, 0).triu(diagonal=1)
    covered = iou.amax(0)[:, None]
    if kernel == "gaussian":
        factor = (-sigma * iou.square()).exp() / (-sigma * covered.square()).exp()
    else:
        # A copy of a better one, itself at 0, has nothing to add: that one lowers j as well.
        factor = torch.where(covered < 1, (1 - iou) / (1 - covered), torch.inf)
    return factor.amin(0)
