"""Loaders. Training is counted in iterations, and iteration t is the same however it is reached:
after a resume, and with any number of workers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset, Subset, default_collate

from bpkd.datasets.draws import Batches, Draws, Pair, SizedDataset, Transform
from bpkd.datasets.parallel import cores
from bpkd.datasets.transforms import to_float
from bpkd.errors import UserError
from bpkd.support.signals import of_a_worker

Gather = Callable[[Sequence[Any]], Any]


def gather(pairs: Sequence[Pair]) -> Pair:
    """Pairs of image and labels as one batch.

    Raises:
        UserError: their sizes differ.
    """
    sizes = sorted({tuple(image.shape) for image, _ in pairs})
    if len(sizes) > 1:
        raise UserError(
            f"images of the shapes {sizes[0]} and {sizes[-1]} cannot share a batch: set batch_size "
            "to 1, or crop them to one size"
        )
    images, labels = default_collate(list(pairs))
    return images, labels


def to_learn_from(dataset: Any) -> Any:
    """A data set without the samples that teach nothing, where it lists the others.

    Raises:
        UserError: none of them teaches anything.

    >>> class Letters(list):
    ...     trainable = [0, 2]
    >>> list(to_learn_from(Letters("abc"))), to_learn_from("abc")
    (['a', 'c'], 'abc')
    """
    chosen = getattr(dataset, "trainable", None)
    if chosen is None or len(chosen) == len(dataset):
        return dataset
    if not chosen:
        raise UserError(
            "nothing can be learnt from the training data: no image is large enough and has an "
            "instance of these classes"
        )
    return Subset(dataset, chosen)


def train_loader(
    dataset: SizedDataset,
    transform: Transform,
    *,
    seed: int,
    batch_size: int,
    iterations: int,
    start: int = 0,
    workers: int = 0,
    rank: int = 0,
    world_size: int = 1,
    gather: Gather = gather,
) -> DataLoader[Any]:
    """Batches of transformed samples for iterations ``start`` to ``iterations - 1``.

    Iteration t of process r holds the draws from (t * world_size + r) * batch_size on, so every
    process has samples of its own. Each ``iter()`` begins at ``start``; ``len()`` is always
    ``iterations``, the length of the whole run.

    Args:
        dataset: pairs of image and labels.
        transform: brings a pair to a fixed size, see
            :func:`~bpkd.datasets.transforms.training_transform`.
        seed: whole number from 0.
        batch_size: samples a process and iteration.
        iterations: length of the whole run.
        start: first iteration, above 0 in a run that is resumed.
        workers: processes that read, at most one a core; 0 reads in this one.
        rank: number of this training process.
        world_size: number of training processes.
        gather: samples -> a batch.

    Raises:
        UserError: a number is out of its range, or, on iteration, a sample cannot be read.

    >>> letters = [(torch.tensor(i), torch.tensor(i)) for i in range(4)]
    >>> def loader(start):
    ...     return train_loader(letters, lambda image, labels: (image, labels), seed=0,
    ...                         batch_size=2, iterations=5, start=start)
    >>> whole, resumed = list(loader(0)), list(loader(3))
    >>> len(whole), len(resumed), len(loader(3))
    (5, 2, 5)
    >>> bool((resumed[0][0] == whole[3][0]).all())
    True
    """
    _whole("batch_size", batch_size, least=1)
    _whole("iterations", iterations, least=1)
    _whole("start", start, least=0, most=iterations)
    _check_processes(workers, rank, world_size)
    draws = Draws(dataset, transform, seed, iterations * batch_size * world_size)
    batches = Batches(batch_size, iterations, start, rank, world_size)
    return _loader(_Batched(draws, gather), workers, batch_sampler=batches)


def eval_loader(
    dataset: SizedDataset,
    *,
    batch_size: int = 1,
    workers: int = 0,
    rank: int = 0,
    world_size: int = 1,
    gather: Gather = gather,
) -> DataLoader[Any]:
    """Every sample once over all processes: process r has the samples r, r + world_size, ...

    Images come as float32 in [0, 1]. No sample is repeated to fill a batch or to give every
    process as many.

    Args:
        dataset: pairs of image and labels.
        batch_size: samples in a batch; above 1 the images must have one size.
        workers: processes that read, at most one a core; 0 reads in this one.
        rank: number of this process.
        world_size: number of processes.
        gather: samples -> a batch.

    Raises:
        UserError: a number is out of its range, or, on iteration, a sample cannot be read or the
            images of a batch differ in size.

    >>> pair = torch.zeros(3, 1, 1), torch.zeros(1, 1)
    >>> [len(labels) for _, labels in eval_loader([pair] * 5, batch_size=2)]
    [2, 2, 1]
    """
    _whole("batch_size", batch_size, least=1)
    _check_processes(workers, rank, world_size)
    indices = range(rank, len(dataset), world_size)
    return _loader(
        _Batched(_Floats(dataset), gather), workers, batch_size=batch_size, sampler=indices
    )


class _Floats(Dataset[Pair]):
    def __init__(self, dataset: SizedDataset) -> None:
        self.dataset = dataset

    def __getitem__(self, index: int) -> Pair:
        image, labels = self.dataset[index]
        return to_float(image), labels


class _Batched(Dataset[Any]):
    """Makes whole batches, and hands a UserError over as a value.

    Raised in a worker, it would reach this process with the worker's traceback for a message.
    """

    def __init__(self, dataset: Dataset[Pair], gather: Gather) -> None:
        self.dataset, self.gather = dataset, gather

    def __getitems__(self, indices: list[int]) -> Any:
        try:
            return self.gather([self.dataset[index] for index in indices])
        except UserError as error:
            return error


class _Loader(DataLoader[Any]):
    """Raises here the errors that _Batched hands over."""

    def __iter__(self) -> Iterator[Pair]:  # type: ignore[override]
        for batch in super().__iter__():
            if isinstance(batch, UserError):
                # Not `raise batch`: the local name and the traceback would hold each other, and
                # workers that only the garbage collector reaches take 5 seconds to end.
                raise UserError(str(batch))
            yield batch


def _loader(dataset: Dataset[Pair], workers: int, **which: Any) -> DataLoader[Pair]:
    # A recipe names what a machine with a GPU wants; the batches are the same with any number.
    workers = min(workers, cores())
    return _Loader(
        dataset,
        num_workers=workers,
        collate_fn=_as_it_is,
        pin_memory=torch.cuda.is_available(),
        persistent_workers=workers > 0,
        # Without its own generator, each iter() would move the global one, which dropout uses.
        generator=torch.Generator(),
        worker_init_fn=of_a_worker,
        **which,
    )


def _as_it_is(batch: Any) -> Any:
    return batch


def _check_processes(workers: int, rank: int, world_size: int) -> None:
    _whole("workers", workers, least=0)
    _whole("world_size", world_size, least=1)
    _whole("rank", rank, least=0, most=world_size - 1)


def _whole(name: str, value: int, least: int, most: int | None = None) -> None:
    if not isinstance(value, int) or value < least or (most is not None and value > most):
        bounds = f"from {least}" + ("" if most is None else f" to {most}")
        raise UserError(f"{name} {value!r}: expected a whole number {bounds}")
