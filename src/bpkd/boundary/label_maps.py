"""Label maps as they come: what is one, and the smallest type that holds it."""

from __future__ import annotations

import torch
from torch import Tensor

from bpkd.errors import UserError


def check_shape(labels: Tensor, name: str = "labels") -> None:
    """Raise a UserError unless ``labels`` is a non-empty integer tensor (N, H, W)."""
    if labels.is_floating_point() or labels.is_complex() or labels.dtype == torch.bool:
        raise UserError(f"{name}: dtype is {labels.dtype}, expected integers such as torch.int64")
    if labels.dim() != 3 or labels.numel() == 0:
        raise UserError(f"{name}: shape is {tuple(labels.shape)}, expected (N, H, W), not empty")


def check_values(
    values: Tensor, num_classes: int, ignore_index: int | None, name: str = "labels"
) -> None:
    """Raise a UserError that names the first of ``values`` that is no class and not ignored."""
    for value in values.tolist():
        if not 0 <= value < num_classes and value != ignore_index:
            also = "" if ignore_index is None else f" or ignore_index {ignore_index}"
            raise UserError(
                f"{name}: found the value {value}, expected 0 .. {num_classes - 1}{also}; "
                "check num_classes, or map the value to ignore_index"
            )


def shrink(labels: Tensor, lowest: int, highest: int) -> Tensor:
    """Labels - lowest, in bytes where they fit: a pass over bytes costs an eighth of int64's."""
    if lowest != 0:
        labels = labels.long() - lowest  # long: the difference could overflow a short dtype
    return labels.to(torch.uint8 if highest - lowest < 256 else torch.int32)
