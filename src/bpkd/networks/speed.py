"""Milliseconds and memory of one image's forward pass on this machine, part by part."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import chain
from statistics import median
from typing import Any

import torch
from torch import Tensor, nn

from bpkd.errors import UserError
from bpkd.networks.base import InstanceOutput, SegNetwork, resize
from bpkd.networks.cost import evaluating, logits_of, parts
from bpkd.networks.memory import Watch, peak_bytes

#: Timed passes: no fewer, no more; between the two it ends after so many seconds.
LEAST, MOST, ENOUGH = 3, 20, 5.0


def speed(
    network: nn.Module,
    size: Sequence[int] = (512, 512),
    device: str | torch.device = "cpu",
    progress: Callable[[Any], Any] = iter,
) -> tuple[dict[str, float], dict[str, int]]:
    """Milliseconds and peak memory of the parts, the final resize and the whole.

    Args:
        network: images (1, 3, H, W) -> :class:`SegOutput`; is moved to the device.
        size: (H, W).
        device: where it runs.
        progress: wraps the passes, e.g. to draw a bar.

    Returns:
        Milliseconds, the median of 3 to 20 passes after a warm-up, and bytes: the most that are
        held at one time while the part runs, weights and image included. ``total`` is a pass
        without the auxiliary head. What the bytes are of: :func:`bpkd.networks.memory.peak_bytes`.

    Example:
        >>> milliseconds, memory = speed(nn.Conv2d(3, 2, 1), (8, 8))
        >>> memory["network"] == 4 * (3 * 64 + 2 * 64 + 2 * 3 + 2)  # image, logits, weights, bias
        True
        >>> list(milliseconds)
        ['network', 'resize', 'total']
    """
    device = torch.device(device)
    network.to(device)
    images = torch.rand(1, 3, *size, device=device)
    memory: dict[str, int] = {}
    passes: list[dict[str, float]] = []
    begun = 0.0
    # Inference mode would hide from the memory's watch what composite operators make inside.
    with evaluating(network), torch.no_grad():
        for _ in progress(range(1 + MOST)):
            if not memory:
                memory = _memory(network, images)
                begun = time.perf_counter()
                continue
            passes.append(_milliseconds(network, images))
            if len(passes) >= LEAST and time.perf_counter() - begun > ENOUGH:
                break
    return {part: median(each[part] for each in passes) for part in passes[0]}, memory


def find_device(name: str | None = None) -> str:
    """The device of that name, if it is here; without a name cuda where there is one.

    Raises:
        UserError: no such device.
    """
    cuda = torch.cuda.is_available()
    if name is None:
        return "cuda" if cuda else "cpu"
    if name == "cpu" or (name == "cuda" and cuda):
        return name
    here = "cpu or cuda" if cuda else "cpu: PyTorch finds no CUDA device here"
    raise UserError(f"device {name!r}: expected {here}")


def _forward(network: nn.Module, images: Tensor, watch: Watch) -> None:
    """One pass with every head, and the resize of logits to the image's size."""
    with _watched(network, watch):
        logits = _logits(network, images)
    if logits is None:
        return
    watch.begin("resize")
    resize(logits, images.shape[-2:])
    watch.end("resize")


def _logits(network: nn.Module, images: Tensor) -> Tensor | None:
    """The logits alone, nothing else kept alive; none of a network that finds objects."""
    output = network(images)
    return None if isinstance(output, InstanceOutput) else logits_of(network, output)


@contextmanager
def _watched(network: nn.Module, watch: Watch) -> Iterator[None]:
    """Inside, the watch hears of each part, and the auxiliary head works."""

    def begin(part: str) -> Callable[..., None]:
        return lambda *_: watch.begin(part)

    def end(part: str) -> Callable[..., None]:
        return lambda *_: watch.end(part)

    handles = []
    for part, module in parts(network).items():
        handles.append(module.register_forward_pre_hook(begin(part)))
        handles.append(module.register_forward_hook(end(part)))
    auxiliary = getattr(network, "auxiliary_in_eval", False)
    if isinstance(network, SegNetwork):
        network.auxiliary_in_eval = True
    try:
        yield
    finally:
        if isinstance(network, SegNetwork):
            network.auxiliary_in_eval = auxiliary
        for handle in handles:
            handle.remove()


class _Clock:
    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.begun: dict[str, float] = {}
        self.milliseconds: dict[str, float] = {}

    def begin(self, part: str) -> None:
        self.begun[part] = self._now()

    def end(self, part: str) -> None:
        self.milliseconds[part] = 1000 * (self._now() - self.begun[part])

    def _now(self) -> float:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        return time.perf_counter()


def _milliseconds(network: nn.Module, images: Tensor) -> dict[str, float]:
    clock = _Clock(images.device)
    clock.begin("total")
    _forward(network, images, clock)
    clock.end("total")
    clock.milliseconds["total"] -= clock.milliseconds.get("auxiliary head", 0.0)
    return clock.milliseconds


def _memory(network: nn.Module, images: Tensor) -> dict[str, int]:
    held = chain([images], network.parameters(), network.buffers())
    peaks = peak_bytes(partial(_forward, network, images), held, images.device)
    total = max(peak for part, peak in peaks.items() if part != "auxiliary head")
    return {part: peak for part, peak in peaks.items() if part != "rest"} | {"total": total}
