"""The random draws of training: each is the same however it is reached."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sized
from typing import Protocol

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from bpkd.errors import UserError

Pair = tuple[Tensor, Tensor]
Transform = Callable[[Tensor, Tensor], Pair]


class SizedDataset(Sized, Protocol):
    """A data set as this package knows it: image uint8 (3, H, W), labels (H, W)."""

    def __getitem__(self, index: int, /) -> Pair: ...


class Draws(Dataset[Pair]):
    """The samples of a whole training run, in order: item k is the k-th draw.

    Epoch k // n goes through the n samples in an order of its own. Item k is a function of
    (seed, k) alone: its sample is read and transformed with torch's CPU generator seeded for it.
    The generator's state is put back afterwards.

    Args:
        dataset: n pairs of image and labels.
        transform: function of image and labels.
        seed: whole number from 0.
        total: number of draws in the run.

    Raises:
        UserError: the data set is empty or the seed negative.

    >>> letters = [(torch.tensor(i), torch.tensor(i)) for i in range(3)]
    >>> draws = Draws(letters, lambda image, labels: (image, labels), seed=0, total=6)
    >>> [sorted(int(draws[k][0]) for k in epoch) for epoch in ((0, 1, 2), (3, 4, 5))]
    [[0, 1, 2], [0, 1, 2]]
    """

    def __init__(self, dataset: SizedDataset, transform: Transform, seed: int, total: int) -> None:
        if len(dataset) == 0:
            raise UserError("the training data set is empty: there is nothing to draw")
        if not isinstance(seed, int) or seed < 0:
            raise UserError(f"seed {seed!r}: expected a whole number from 0")
        self.dataset, self.transform, self.seed, self.total = dataset, transform, seed, total
        self._orders: dict[int, tuple[int, list[int]]] = {}

    def __len__(self) -> int:
        return self.total

    def __getitem__(self, k: int) -> Pair:
        if not 0 <= k < self.total:
            raise IndexError(f"draw {k} of {self.total}")
        index = self._index(k)
        with torch.random.fork_rng(devices=[]):
            # Not torch.manual_seed: that would seed the GPU too, and nothing would undo it.
            torch.default_generator.manual_seed(_mixed(self.seed, 1, k))
            return self.transform(*self.dataset[index])

    def _index(self, k: int) -> int:
        """Which sample draw k takes; a data set of several parts says by ``stream`` of which."""
        stream = getattr(self.dataset, "stream", None)
        part, number, first, count = stream(k) if stream else (0, k, 0, len(self.dataset))
        epoch, place = divmod(number, count)
        if self._orders.get(part, (-1,))[0] != epoch:
            # 1 is for the transforms below.
            generator = torch.Generator().manual_seed(_mixed(self.seed, 2 * part, epoch))
            order = torch.randperm(count, generator=generator).tolist()
            self._orders[part] = epoch, order
        return int(first + self._orders[part][1][place])


class Batches:
    """The numbers of the draws in each batch: see :func:`bpkd.datasets.loading.train_loader`."""

    def __init__(
        self, batch_size: int, iterations: int, start: int, rank: int, world_size: int
    ) -> None:
        self.batch_size, self.iterations, self.start = batch_size, iterations, start
        self.rank, self.world_size = rank, world_size

    def __len__(self) -> int:
        return self.iterations

    def __iter__(self) -> Iterator[list[int]]:
        for t in range(self.start, self.iterations):
            first = (t * self.world_size + self.rank) * self.batch_size
            yield list(range(first, first + self.batch_size))


def _mixed(*numbers: int) -> int:
    """One seed out of several numbers, with no pattern from one set of numbers to the next."""
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0])
