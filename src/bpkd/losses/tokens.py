"""Receptive tokens: learnt on a teacher before the student begins, or read from a file."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR

from bpkd.errors import UserError
from bpkd.losses.features import mean_over_processes
from bpkd.support.tensors import load_into, read_tensors

#: A network's output, what the images show -> what the network would be trained by.
OwnLoss = Callable[[Any, Any], Tensor]


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


class Learned(nn.Module):
    """A loss with parameters that are learnt on the teacher first, and fixed from then on.

    Args:
        token_iters: iterations that they are learnt for.
    """

    learned: Tensor

    def __init__(self, token_iters: int) -> None:
        super().__init__()
        self.register_buffer("learned", torch.tensor(False))
        self.token_iters = token_iters

    @property
    def prepare_iters(self) -> int:
        """Iterations that ``prepare`` wants; 0 where the parameters are there."""
        return 0 if self.learned else self.token_iters

    def learnable(self) -> nn.ModuleDict:
        """What is learnt first; a part of this module."""
        raise NotImplementedError

    def fix(self, file: str | None) -> None:
        """Fix what is learnt first, once it was read where there is a file of it."""
        self.learnable().requires_grad_(False)
        if file is None:
            return
        wanted, found = self.learnable().state_dict(), read_tensors(file)
        load_into(self.learnable(), {k: v for k, v in found.items() if k in wanted}, file)
        self.learned.fill_(True)


class LearnedOnPyramid(Learned):
    """A loss that learns masks of a pyramid's levels first, see :func:`learn_on_pyramid`."""

    #: Names of the levels.
    features: tuple[str, ...]

    def masked(self, level: int, maps: Tensor) -> tuple[Tensor, Tensor]:
        """A level's map as it is masked, and how much the masks overlap."""
        raise NotImplementedError

    def prepare(self, teacher: nn.Module, batches: Any, own_loss: OwnLoss) -> None:
        """Learn the masks on the teacher."""
        parts, iterations = self.learnable(), self.token_iters
        learn_on_pyramid(parts, self.masked, self.features, teacher, batches, own_loss, iterations)
        self.learned.fill_(True)


def learn_on_pyramid(
    parts: nn.Module,
    masked: Callable[[int, Tensor], tuple[Tensor, Tensor]],
    features: Sequence[str],
    teacher: nn.Module,
    batches: Iterable[tuple[Tensor, Any]],
    own_loss: OwnLoss,
    iterations: int,
) -> None:
    """Learn masks with which the teacher, its weights fixed, still does its own task.

    Adam at 0.01, weight decay 1e-3, cosine, of the teacher's own loss and the masks' overlap.

    Args:
        parts: what is learnt.
        masked: number of a level and its map -> the map as it is masked, and the overlap.
        features: names of the levels, p2 for the first that ``teacher.neck`` gives, and so on.
        teacher: a network whose ``neck`` gives a list of maps, fine to coarse.
        batches: images and what they show, as many as ``iterations``.
        own_loss: a network's output, what the images show -> scalar.
        iterations: the length of the cosine.

    Raises:
        UserError: the teacher has no ``neck``.
    """
    neck = getattr(teacher, "neck", None)
    if not isinstance(neck, nn.Module):
        raise UserError(
            "tokens of a pyramid are learnt on a teacher with a neck, and this one has none; give "
            "tokens: FILE, that of a run that learnt them"
        )
    overlaps: list[Tensor] = []

    def replace(module: nn.Module, given: Any, levels: Sequence[Tensor]) -> list[Tensor]:
        made = list(levels)
        for number, name in enumerate(features):
            place = int(name.removeprefix("p")) - 2
            made[place], overlap = masked(number, levels[place])
            overlaps.append(overlap)
        return made

    learnt = list(parts.requires_grad_(True).parameters())
    optimizer = torch.optim.Adam(learnt, lr=0.01, weight_decay=1e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, iterations)
    hook = neck.register_forward_hook(replace)
    try:
        for images, target in batches:
            overlaps.clear()
            value = own_loss(teacher(images), target) + torch.stack(overlaps).sum()
            optimizer.zero_grad()
            value.backward()  # type: ignore[no-untyped-call]
            for parameter in learnt:
                if parameter.grad is not None:
                    parameter.grad = mean_over_processes(parameter.grad)
            optimizer.step()
            schedule.step()
    finally:
        hook.remove()
        parts.requires_grad_(False)
