"""A network as a graph: traced once, for images of any size or of one."""

from __future__ import annotations

import logging
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from bpkd.errors import UserError
from bpkd.export.leaving import AnySize
from bpkd.support.messages import one_line

#: Of the image that a graph for any size is traced with: no multiple of any stride, and large
#: enough that no map inside is one pixel high, which exporters would take for a rule.
TRACED = (261, 325)
BATCH = 2


def example(size: tuple[int, int] | None) -> Tensor:
    """Images to trace a network with; (H, W) None: any size."""
    return torch.rand(BATCH, 3, *(size or TRACED), generator=torch.Generator().manual_seed(0))


def captured(network: nn.Module, size: tuple[int, int] | None) -> ExportedProgram:
    """The graph of a network.

    Args:
        network: images (N, 3, H, W) -> a tensor; in evaluation mode.
        size: (H, W) that it is for; None: any.

    Raises:
        UserError: the network cannot take that size, or not any size: says in which layer.
    """
    dynamic = {0: Dim.DYNAMIC} if size else {axis: Dim.DYNAMIC for axis in (0, 2, 3)}
    images = example(size)
    what = f"images of {size[0]} x {size[1]}" if size else "images of any size"
    with _layer_by_layer(network) as layers, quiet(), torch.no_grad():
        try:
            network(images)  # a size that does not fit is said by the network itself
            with AnySize():
                return torch.export.export(
                    network, (images,), dynamic_shapes={"images": dynamic}, strict=False
                )
        except UserError:
            raise
        except Exception as error:  # networks and exporters stop with exceptions of all kinds
            where = layers[-1] if layers else _line(error)
            instead = "another --size" if size else "--size HEIGHT WIDTH"
            raise UserError(
                f"{what} do not pass {where or 'the network'}: {_reason(error)}; give {instead}"
            ) from error


def _reason(error: Exception) -> str:
    """The exporter's first sentence that says something."""
    text = re.sub(r"\s*\n[\s\S]*", "", str(error).strip()) or type(error).__name__
    found = re.search(r"specialized.*|You marked.*", str(error))
    text = found[0] if found else text
    return text if len(text) < 250 else f"{text[:250]}..."


def _line(error: Exception) -> str:
    """The line of a network's code that an exporter's message points at."""
    found = re.findall(r'File "([^"]+)", line (\d+), in forward', str(error))
    return f"{found[-1][0].rsplit('/', 1)[-1]}:{found[-1][1]}" if found else ""


@contextmanager
def _layer_by_layer(network: nn.Module) -> Iterator[list[str]]:
    """Inside, the list holds the layers that are running, the innermost last."""
    running: list[str] = []
    handles: list[Any] = []
    for name, module in network.named_modules():
        if name:
            path = f"{name.removeprefix('network.')} ({type(module).__name__})"
            handles.append(
                module.register_forward_pre_hook(lambda *_, path=path: running.append(path))
            )
            handles.append(module.register_forward_hook(lambda *_: _pop(running)))
    try:
        yield running
    finally:
        for handle in handles:
            handle.remove()


def _pop(running: list[str]) -> None:
    running.pop()


@contextmanager
def quiet() -> Iterator[None]:
    """Exporters write about their own affairs."""
    loggers = [logging.getLogger(name) for name in ("torch.export", "torch.onnx", "torch.fx")]
    before = [logger.level for logger in loggers]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for logger in loggers:
            logger.setLevel(logging.CRITICAL)
        try:
            yield
        finally:
            for logger, level in zip(loggers, before, strict=True):
                logger.setLevel(level)


def one_sentence(error: Exception) -> str:
    """An exporter's error, short."""
    return one_line(error)[:300]
