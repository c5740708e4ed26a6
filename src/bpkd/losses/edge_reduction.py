"""How BPKD's edge loss, a number a pixel and class, becomes one number."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

#: By what the sum over pixels and classes is divided: see :func:`bpkd.losses.bpkd.edge_loss`.
Reduction = Literal["sum", "classes", "mean", "band"]


def pixel_weights(
    masks: Tensor,
    class_weights: float | Tensor = 1.0,
    reduction: Reduction = "sum",
    valid: Tensor | None = None,
) -> Tensor:
    """One weight a pixel that stands for the sum over classes of the edge loss.

    n_c, the mask's total for class c, and all other counts are over the batch of this process; a
    class with no edge counts 0.

    Args:
        masks: M (N, C, h, w) in [0, 1], as :func:`bpkd.boundary.edges.edge_masks` gives them.
        class_weights: α, a number or (C,).
        reduction: by what Σ_c α_c M_ci is divided, see
            :func:`bpkd.losses.bpkd.edge_loss`.
        valid: (N, 1, h, w) booleans, the pixels that ``mean`` counts; None for all.

    Returns:
        (N, h, w).

    Example:
        >>> masks = torch.tensor([[[[1.0, 1.0, 0.0]], [[1.0, 0.0, 0.0]], [[0.0, 0.0, 0.0]]]])
        >>> pixel_weights(masks)  # 1/2 + 1/1, 1/2, 0
        tensor([[[1.5000, 0.5000, 0.0000]]])
        >>> pixel_weights(masks, reduction="mean")  # 2/9, 1/9, 0: nine elements
        tensor([[[0.2222, 0.1111, 0.0000]]])
        >>> pixel_weights(masks, reduction="band")  # 2/3, 1/3, 0: three of them are edge
        tensor([[[0.6667, 0.3333, 0.0000]]])
    """
    totals = masks.sum(dim=(0, 2, 3))
    if reduction == "mean":
        pixels = masks[:, 0].numel() if valid is None else valid.sum()
        counts = torch.ones_like(totals) * pixels * len(totals)
    elif reduction == "band":
        counts = totals.sum().expand_as(totals)
    else:
        counts = totals
    shares = torch.where(totals > 0, class_weights / counts.clamp(min=1e-12), 0.0)
    if reduction == "classes":
        shares = shares / (totals > 0).sum().clamp(min=1)
    return (masks * shares.view(-1, 1, 1)).sum(dim=1)
