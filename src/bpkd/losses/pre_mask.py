"""BPKD's filter before the softmax, and the divergence of logits that went through it."""

from __future__ import annotations

from typing import Literal

from torch import Tensor

from bpkd.losses.divergence import kl_divergence

#: Whether logits are filtered before the softmax; ``centred``: after their mean is taken off.
PreMask = bool | Literal["centred"]


def filtered(logits: Tensor, mask: Tensor, temperature: float, pre_mask: PreMask) -> Tensor:
    """Logits (N, C, h, w) as they go into a softmax: Z mask / T, or Z / T without the filter."""
    if not pre_mask:
        return logits if temperature == 1 else logits / temperature
    if pre_mask == "centred":
        logits = logits - logits.mean(dim=1, keepdim=True)
    return logits * (mask if temperature == 1 else mask / temperature)


def edge_divergence(
    student: Tensor, teacher: Tensor, masks: Tensor, temperature: float, pre_mask: PreMask
) -> Tensor:
    """φ (N, h, w) of :func:`bpkd.losses.bpkd.edge_loss`, whose arguments these are."""
    student, teacher = (filtered(z, masks, temperature, pre_mask) for z in (student, teacher))
    return kl_divergence(student, teacher, dim=1)
