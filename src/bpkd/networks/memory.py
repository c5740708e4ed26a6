"""The most bytes that are held at one time while something runs, stretch by stretch."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.weak import WeakIdKeyDictionary


class Watch(Protocol):
    """Is told when a stretch of work begins and when it ends."""

    def begin(self, part: str) -> None:
        """The stretch of that name begins."""

    def end(self, part: str) -> None:
        """It ends."""


def peak_bytes(
    work: Callable[[Watch], None], held: Iterable[Tensor], device: torch.device
) -> dict[str, int]:
    """The most bytes held at one time during each stretch, and under ``rest`` between them.

    On the CPU those of tensors: the given ones and what operators make while the work runs, as
    long as each lives; what an operator needs for itself in passing is not seen. On CUDA they are
    PyTorch's ``max_memory_allocated``, everything on the device included.

    Args:
        work: runs, and tells the watch where each stretch begins and ends.
        held: the tensors that are there before, e.g. weights.
        device: where the work runs.

    Example:
        >>> def work(watch):
        ...     watch.begin("sum")
        ...     (torch.ones(10) + torch.ones(10)).sum()  # three times ten numbers of four bytes
        ...     watch.end("sum")
        >>> peak_bytes(work, [], torch.device("cpu"))["sum"]
        120
    """
    if device.type == "cuda":
        return _cuda(work, device)
    live = _LiveTensors(held)
    with live:
        work(live.peaks)
    return live.peaks.bytes


class _Peaks:
    def __init__(self, held: Callable[[], int]) -> None:
        self.held = held
        self.part = "rest"
        self.bytes: dict[str, int] = {}

    def begin(self, part: str) -> None:
        self.note()
        self.part = part
        self.note()

    def end(self, part: str) -> None:
        self.note()
        self.part = "rest"

    def note(self) -> None:
        self.bytes[self.part] = max(self.bytes.get(self.part, 0), self.held())


class _LiveTensors(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Keeps account of the tensors that live."""

    def __init__(self, tensors: Iterable[Tensor]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        # Views of one tensor, and weights that two layers share, share a storage.
        self.storages = WeakIdKeyDictionary()
        self.peaks = _Peaks(self.held)
        self.add(list(tensors))

    def add(self, values: Any) -> None:
        for value in tree_leaves(values):
            if isinstance(value, Tensor):
                storage = value.untyped_storage()
                self.storages[storage] = storage.nbytes()

    def held(self) -> int:
        return sum(self.storages.values())  # type: ignore[no-untyped-call]

    def __torch_dispatch__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        output = func(*args, **(kwargs or {}))
        self.add(output)
        self.peaks.note()
        return output


def _cuda(work: Callable[[Watch], None], device: torch.device) -> dict[str, int]:
    def held() -> int:
        peak = torch.cuda.max_memory_allocated(device)
        torch.cuda.reset_peak_memory_stats(device)
        return peak

    work(_Peaks(held))  # libraries take their workspace at first use
    held()
    watch = _Peaks(held)
    work(watch)
    return watch.bytes
