"""A function over many items, in several processes, in order."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

from torch.utils.data import DataLoader, Dataset

from bpkd.support.signals import of_a_worker

Item = TypeVar("Item")
Result = TypeVar("Result")
Progress = Callable[[Any], Any]


def cores() -> int:
    """The processor cores that this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # macOS and Windows do not say
        return os.cpu_count() or 1


def each(
    function: Callable[[Item], Result],
    items: Sequence[Item],
    *,
    workers: int | None = 0,
    progress: Progress = iter,
) -> Iterator[Result]:
    """What the function makes of each item, in the items' order.

    The processes are those of PyTorch's loader, so what can be loaded in training can be worked on
    here: each forked or started as PyTorch does on this system, and each with one thread.

    Args:
        function: takes an item; where ``workers`` is above 0, it can be pickled, its results too.
        items: of a known number, for the progress bar.
        workers: processes; 0 works in this one, None starts one a core, eight at most.
        progress: wraps what is gone through, e.g. to draw a bar.

    >>> list(each(abs, [-2, 3]))
    [2, 3]
    """
    if workers is None:
        workers = min(8, cores())
    loader: DataLoader[Any] = DataLoader(
        _Results(function, items),
        batch_size=None,
        num_workers=min(workers, len(items)),
        collate_fn=_as_it_is,
        worker_init_fn=of_a_worker,
    )
    return iter(progress(loader))


class _Results(Dataset[Any]):
    def __init__(self, function: Callable[[Any], Any], items: Sequence[Any]) -> None:
        self.function, self.items = function, items

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> Any:
        return self.function(self.items[index])


def _as_it_is(result: Any) -> Any:
    return result
