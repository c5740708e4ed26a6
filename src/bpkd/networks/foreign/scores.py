"""What a network says of a pixel's classes, as logits: some end with a softmax or a sigmoid."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from bpkd.errors import UserError

Gives = Literal["logits", "softmax", "sigmoid"]
_KINDS = ("logits", "softmax", "sigmoid")
# Of probabilities in float16, 0 and 1 are common: their logits are those of 1e-6 and 1 - 1e-6.
_LEAST = 1e-6


def check_gives(gives: str | None) -> None:
    """Refuse what no network gives.

    Raises:
        UserError: names what there is.
    """
    if gives is not None and gives not in _KINDS:
        raise UserError(f"gives: {gives!r} is not one of {', '.join(_KINDS)}")


def as_logits(scores: Tensor, gives: str | None, source: str) -> Tensor:
    """Logits with the same probabilities.

    A softmax loses what all logits of a pixel have in common, which the losses over classes do not
    see; the logits here are the logarithms.

    Args:
        scores: (N, C, h, w).
        gives: what they are; None is ``logits``.
        source: what the network is called in messages.

    Raises:
        UserError: they are no such probabilities.

    Example:
        >>> logits = torch.tensor([[[[1.0]], [[3.0]]]])
        >>> again = as_logits(logits.softmax(dim=1), "softmax", "it")
        >>> torch.allclose(again.softmax(dim=1), logits.softmax(dim=1))
        True
        >>> torch.allclose(as_logits(logits.sigmoid(), "sigmoid", "it"), logits, atol=1e-4)
        True
    """
    if gives in (None, "logits"):
        return scores
    scores = scores.float()
    if not torch.compiler.is_compiling() and (found := kind_of(scores)) != gives:
        low, high = float(scores.min()), float(scores.max())
        if found == "logits" or gives == "softmax":
            raise UserError(
                f"{source}: gives: {gives}, and its scores, from {low:.3g} to {high:.3g}, are no "
                f"probabilities of a {gives}; say gives: {found}"
            )
    return scores.clamp(min=_LEAST).log() if gives == "softmax" else scores.logit(eps=_LEAST)


def kind_of(scores: Tensor) -> Gives:
    """What scores (N, C, h, w) look like.

    Example:
        >>> scores = torch.tensor([[[[2.0]], [[-1.0]]]])
        >>> kind_of(scores), kind_of(scores.softmax(dim=1)), kind_of(scores.sigmoid())
        ('logits', 'softmax', 'sigmoid')
    """
    if not (bool((scores >= 0).all()) and bool((scores <= 1 + 1e-3).all())):
        return "logits"
    sums = scores.float().sum(dim=1)
    if scores.shape[1] > 1 and bool(((sums - 1).abs() < 1e-2).all()):
        return "softmax"
    return "sigmoid"
