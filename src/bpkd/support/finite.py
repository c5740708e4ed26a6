"""Numbers that are not finite, named where they come up."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain

import torch
from torch import Tensor, nn

from bpkd.errors import UserError


def not_finite(named: Iterable[tuple[str, Tensor | None]]) -> str:
    """The name of the first tensor that holds NaN or Inf; empty where all are finite.

    One look at all of them together; each is looked at only where something is wrong.

    Example:
        >>> not_finite([("a", torch.zeros(2)), ("b", torch.tensor([1.0, float("inf")]))])
        'b'
    """
    floats = {
        name: value.detach()
        for name, value in named
        if value is not None
        and value.is_floating_point()
        and value.numel()
        and value.layout == torch.strided
    }
    greatest = torch.nn.utils.get_total_norm(list(floats.values()), float("inf"))
    if not floats or greatest.isfinite():
        return ""
    return next((name for name, value in floats.items() if not value.isfinite().all()), "")


def check_network(network: nn.Module, who: str) -> None:
    """Refuse a network of weights that are not finite.

    Args:
        network: any.
        who: what the message calls it.

    Raises:
        UserError: names the tensor.
    """
    if name := not_finite(chain(network.named_parameters(), network.named_buffers())):
        raise UserError(
            f"{who}: the weights hold NaN or Inf ({name}), so nothing comes of it; take another "
            "checkpoint, from before they broke"
        )


def check_weights(module: nn.Module, iteration: int) -> None:
    """Refuse to go on with weights that are not finite after a step.

    Raises:
        UserError: names the tensor.
    """
    if name := not_finite(chain(module.named_parameters(), module.named_buffers())):
        raise UserError(
            f"iteration {iteration}: {name} is not finite after this step; the last good "
            "checkpoint is kept, the numbers are in training.csv; lower the learning rate, and "
            "start again in another run=FOLDER, or with --overwrite"
        )


def check_gradients(module: nn.Module, iteration: int) -> None:
    """Refuse a step by gradients that are not finite.

    Raises:
        UserError: names the parameter.
    """
    if name := not_finite((name, value.grad) for name, value in module.named_parameters()):
        raise UserError(
            f"iteration {iteration}: the gradient of {name} is not finite, though the loss is; "
            "the step is not made and the last good checkpoint is kept; lower the learning rate, "
            "or set precision=32, and start again in another run=FOLDER, or with --overwrite"
        )


def whole_labels(labels: Tensor) -> Tensor:
    """Labels (N, H, W) as int64.

    Raises:
        UserError: a value is no whole number, as NaN.
    """
    whole = labels.long()
    if labels.is_floating_point() and (bad := whole != labels).any():
        raise UserError(
            f"the data set gives the label {labels[bad][0].item()}; expected whole numbers"
        )
    return whole


def check_labels(labels: Tensor, num_classes: int, ignore_index: int) -> None:
    """Refuse labels (N, H, W) that are neither a class nor ``ignore_index``.

    Raises:
        UserError: shows such a value.
    """
    bad = (labels != ignore_index) & ((labels < 0) | (labels >= num_classes))
    if bad.any():
        raise UserError(
            f"the data set gives the label {labels[bad][0].item()}; expected 0 to "
            f"{num_classes - 1}, or {ignore_index} for a pixel that is ignored"
        )
