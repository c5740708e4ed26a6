"""The edge detection module as the paper states it, on a one-hot tensor: the reference."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def edge_masks_onehot(
    labels: Tensor,
    num_classes: int,
    kernel_size: int,
    size: tuple[int, int],
    ignore_index: int = 255,
) -> Tensor:
    """What :func:`bpkd.boundary.edges.edge_masks` computes, by dilating and eroding each class.

    Example:
        >>> edge_masks_onehot(torch.tensor([[[0, 0, 1, 1]]]), 2, 3, (1, 2)).tolist()
        [[[[0.5, 0.5]], [[0.5, 0.5]]]]
    """
    valid = (labels != ignore_index).unsqueeze(1)
    index = labels.long().unsqueeze(1).where(valid, 0)
    shape = (labels.shape[0], num_classes, *labels.shape[1:])
    onehot = torch.zeros(shape, device=labels.device).scatter_(1, index, valid.float())
    dilated = F.max_pool2d(onehot, kernel_size, stride=1, padding=kernel_size // 2)
    eroded = 1 - F.max_pool2d(1 - onehot, kernel_size, stride=1, padding=kernel_size // 2)
    return F.adaptive_avg_pool2d((dilated - eroded) * valid, size)
