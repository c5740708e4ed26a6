"""Milliseconds an image on a number of threads: of runs in PyTorch, of files in their runtime."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

import torch
from torch import Tensor, nn

from bpkd.networks.base import resize
from bpkd.networks.files.reading import read_network
from bpkd.runs.loading import load
from bpkd.support.formats import is_network_file

#: Timed passes: no fewer, no more; between the two it ends after so many seconds.
LEAST, MOST, ENOUGH = 5, 50, 4.0


def milliseconds(
    source: str | Path,
    image: Tensor,
    threads: int,
    change: Callable[[nn.Module], nn.Module] = nn.Module.eval,
) -> float:
    """The median time of a pass on the CPU, the logits resized to the image's size.

    Args:
        source: a run's folder, or a network's file.
        image: (1, 3, H, W) in [0, 1].
        threads: that it may use.
        change: what is made of a run's network first, e.g. ``torch.compile``.
    """
    if is_network_file(source):
        network: nn.Module = read_network(source, threads)
    else:
        network = change(load(source).cpu())
    times: list[float] = []
    with _threads(threads), torch.inference_mode():
        for _ in range(2):
            _passed(network, image)
        begun = time.perf_counter()
        while len(times) < MOST:
            begin = time.perf_counter()
            _passed(network, image)
            times.append(time.perf_counter() - begin)
            if len(times) >= LEAST and time.perf_counter() - begun > ENOUGH:
                break
    return 1000 * median(times)


def _passed(network: nn.Module, image: Tensor) -> None:
    """One pass; objects leave at the network's own size."""
    output = network(image)
    if hasattr(output, "logits"):
        resize(output.logits, image.shape[-2:])


@contextmanager
def _threads(count: int) -> Iterator[None]:
    """Inside, PyTorch uses so many threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
