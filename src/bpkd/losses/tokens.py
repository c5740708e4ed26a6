"""Receptive tokens: learnt on a teacher before the student begins, or read from a file."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR

from bpkd.errors import UserError
from bpkd.losses.features import mean_over_processes
from bpkd.tensors import read_tensors


def learn_tokens(
    tokens: Tensor,
    loss: Callable[[Tensor, Tensor, Tensor], Tensor],
    batches: Iterable[tuple[Tensor, Tensor]],
    iterations: int,
) -> Tensor:
    """Tokens after SGD at 0.1, momentum 0.9, weight decay 1e-3, polynomial decay 0.9.

    Args:
        tokens: where they begin.
        loss: tokens, images, labels -> scalar.
        batches: images and labels, as many as ``iterations``.
        iterations: the length of the decay.

    Returns:
        Tokens of the same shape, the same on all processes.

    Raises:
        UserError: the loss is not finite.
    """
    learnt = tokens.detach().clone().requires_grad_()
    optimizer = torch.optim.SGD([learnt], lr=0.1, momentum=0.9, weight_decay=1e-3)
    schedule = LambdaLR(optimizer, lambda t: max(0.0, 1 - t / iterations) ** 0.9)
    for number, (images, labels) in enumerate(batches):
        value = loss(learnt, images, labels)
        if not value.isfinite():
            raise UserError(
                f"iteration {number} of the tokens: their loss is not finite; look at the "
                "teacher's logits (bpkd evaluate), or give tokens from a file"
            )
        optimizer.zero_grad()
        value.backward()  # type: ignore[no-untyped-call]
        learnt.grad = mean_over_processes(learnt.grad)  # type: ignore[arg-type]
        optimizer.step()
        schedule.step()
    return learnt.detach()


def read_tokens(file: str, channels: int) -> Tensor:
    """The one tensor (K, channels) of a file.

    Raises:
        UserError: there is no such file, no such tensor in it, or more than one.
    """
    tensors = read_tensors(file)
    fitting = [
        t.float() for t in tensors.values() if t.squeeze().ndim == 2 and t.shape[-1] == channels
    ]
    if len(fitting) != 1:
        shapes = ", ".join(f"{name} {list(t.shape)}" for name, t in tensors.items())
        raise UserError(
            f"{file}: expected one tensor of tokens (K, {channels}), one row a token; "
            f"got {shapes[:200]}"
        )
    return fitting[0].reshape(-1, channels)


@contextmanager
def teaching_in(mode: str, teacher: nn.Module) -> Iterator[None]:
    """The teacher in ``eval`` or ``train`` mode; what it counts then is put back."""
    before = {name: value.clone() for name, value in teacher.named_buffers()}
    teacher.train(mode == "train")
    try:
        yield
    finally:
        teacher.eval()
        for name, value in teacher.named_buffers():
            value.copy_(before[name])
