"""How hard each term of the loss pulls on the student, beside the student's own loss."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from bpkd.support.tensors import tensors_in


def pulls(own: Tensor, terms: Mapping[str, Tensor], output: Any) -> dict[str, Tensor]:
    """The norm of each term's gradient over that of the student's own loss.

    Gradients are with respect to those tensors of the output that the own loss looks at: the
    logits of a label map, say, and not the features.

    Args:
        own: the student's own loss, a scalar.
        terms: the weighted terms of the distillation losses, scalars.
        output: what the student gave, with whatever graph is behind it; the graph is kept.

    Returns:
        A number >= 0 a term; 0 for a term that pulls on none of them.

    Example:
        At one pixel of two equal logits the cross-entropy's gradient is (-1/2, 1/2); the term's is
        three times that.

        >>> z = torch.zeros(1, 2, 1, 1, requires_grad=True)
        >>> own = torch.nn.functional.cross_entropy(z, torch.tensor([[[0]]]))
        >>> pulls(own, {"kd": 1.5 * (z[:, 1] - z[:, 0]).sum()}, [z])["kd"].item()
        3.0
    """
    looked_at = [each for each in tensors_in(output) if each.requires_grad]
    found = _gradients(own, looked_at)
    seen = [each for each, gradient in zip(looked_at, found, strict=True) if gradient is not None]
    size = _norm(found)
    return {name: _norm(_gradients(term, seen)) / size for name, term in terms.items()}


def _gradients(value: Tensor, of: list[Tensor]) -> tuple[Tensor | None, ...]:
    if not value.requires_grad or not of:
        return (None,) * len(of)
    return torch.autograd.grad(value, of, retain_graph=True, allow_unused=True)


def _norm(gradients: tuple[Tensor | None, ...]) -> Tensor:
    squares = [gradient.float().square().sum() for gradient in gradients if gradient is not None]
    return torch.stack(squares).sum().sqrt() if squares else torch.zeros(())
