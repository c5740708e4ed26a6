"""Milliseconds an image of files and runs, side by side, on several numbers of threads."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from bpkd.errors import UserError
from bpkd.inference.predictor import megabytes
from bpkd.inference.timing import milliseconds
from bpkd.networks.fake_quantization import unquantized
from bpkd.support.columns import Columns
from bpkd.support.formats import is_network_file
from bpkd.support.messages import one_line


@dataclass
class Bench(Columns):
    """The table."""

    def markdown(self) -> str:
        """For a Markdown page."""
        rule = ["---"] + ["---:"] * (len(self.header) - 1)
        lines = (self.header, rule, *self.rows)
        return "".join("| " + " | ".join(line) + " |\n" for line in lines)


def split_threads(
    names: Sequence[str], threads: Sequence[int] | None
) -> tuple[list[str], list[int]]:
    """Files, and numbers of threads, which may follow ``--threads`` several at once.

    Example:
        >>> split_threads(["a.onnx", "2", "4"], [1])
        (['a.onnx'], [1, 2, 4])
        >>> split_threads(["a.onnx"], None)[0]
        ['a.onnx']
    """
    more = [name for name in names if threads and name.isdigit() and not Path(name).exists()]
    sources = [name for name in names if name not in more]
    counts = sorted({*(threads or [1, torch.get_num_threads()]), *map(int, more)})
    if counts[0] < 1:
        raise UserError(f"--threads {counts[0]}: expected at least 1")
    if not sources:
        raise UserError("no file to time: give one, e.g. bpkd bench student.onnx --threads 1 2")
    return sources, counts


def bench(
    sources: Sequence[str],
    threads: Sequence[int],
    size: tuple[int, int],
    compiled: bool = False,
    progress: Callable[[Any], Any] = iter,
) -> Bench:
    """Time files and runs.

    Args:
        sources: files of networks, or runs' folders.
        threads: a column each.
        size: (H, W) of the image.
        compiled: runs by ``torch.compile`` too.
        progress: wraps the passes' list, e.g. to draw a bar.

    Raises:
        UserError: no such file or run, or it does not take the size.
    """
    if min(size) < 1:
        raise UserError(f"--size {size[0]} {size[1]}: expected sides of at least 1 pixel")
    image = torch.rand(1, 3, *size, generator=torch.Generator().manual_seed(0))
    jobs: list[tuple[str, str, Callable[[nn.Module], nn.Module]]] = []
    for source in sources:
        is_run = not is_network_file(source)
        jobs.append((f"{source} (PyTorch)" if is_run else source, source, _plain))
        if is_run and compiled:
            jobs.append((f"{source} (compiled)", source, _compiled))
    rows = []
    for title, source, change in progress(jobs):
        try:
            times = [milliseconds(source, image, count, change) for count in threads]
        except UserError:
            raise
        except Exception as error:  # of a compiler, or of a network that wants another size
            raise UserError(
                f"{title} cannot run at {size[0]} x {size[1]}: {one_line(error)[:300]}"
            ) from error
        rows.append([title, *(f"{time:.1f}" for time in times), f"{megabytes(Path(source)):.2f}"])
    header = ["", *(f"{n} thread{'s' if n > 1 else ''}" for n in threads), "MB"]
    title = f"milliseconds an image of {size[0]} x {size[1]}"
    return Bench(header, rows, title)


def _plain(network: nn.Module) -> nn.Module:
    """As it would run: rounding that only imitates int8 takes time."""
    return unquantized(network).eval()


def _compiled(network: nn.Module) -> nn.Module:
    compiled: nn.Module = torch.compile(_plain(network))  # type: ignore[assignment]
    return compiled
