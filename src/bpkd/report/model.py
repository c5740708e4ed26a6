"""What networks cost, side by side: parameters, multiply-adds, stride, time and memory."""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from bpkd.errors import UserError
from bpkd.inference.predictor import megabytes
from bpkd.inference.timing import milliseconds
from bpkd.networks.cost import (
    CONVENTION,
    INSTANCES,
    exported_bytes,
    multiply_adds,
    parameters,
    strides,
)
from bpkd.networks.files.counting import multiply_adds as file_multiply_adds
from bpkd.networks.files.network import FileNetwork
from bpkd.networks.speed import ENOUGH, LEAST, MOST, speed
from bpkd.support.columns import Columns
from bpkd.support.files import replacing_csv
from bpkd.support.messages import one_line

#: Each figure's column in a CSV file -> its name in a table.
FIGURES = {
    "parameters": "parameters",
    "exported": "exported size",
    "multiply_adds": "multiply-adds",
    "stride": "output stride",
    "milliseconds": "milliseconds",
    "bytes": "peak memory",
}
PARTS = ("network", "backbone", "neck", "decode head", "mask head", "auxiliary head", "resize")
STRIDE = (
    "Output stride: the side of a pixel of the logits in pixels of the image; the backbone's is "
    "that of its last map."
)
INSTANCE_STRIDE = (
    "Of SOLOv2 it is that of the mask features; the neck's is that of its first level."
)
EXPORTED = (
    "Exported size: of a network, its numbers in fp32 without the auxiliary head, batch norm "
    "folded; of a file, the file. A file's multiply-adds are those of its convolutions and matrix "
    "products alone."
)


@dataclass
class Summary:
    """What one network costs.

    Attributes:
        name: what the table calls it.
        classes: C, if anyone knows.
        figures: for each of :data:`FIGURES` that is known, a number a part, and ``total``.
        problem: why some are not known.
    """

    name: str
    classes: int | None
    figures: dict[str, dict[str, float]]
    problem: str = ""

    def cell(self, figure: str, part: str) -> str:
        """A figure as text.

        Example:
            >>> summary = Summary("tiny", 2, {"parameters": {"network": 8e4}, "stride": {}})
            >>> summary.cell("parameters", "network"), summary.cell("stride", "network")
            ('80.00 k', '-')
        """
        value = self.figures.get(figure, {}).get(part)
        if value is None:
            return "-"
        if figure == "exported":
            return f"{value / 1e6:.2f} MB"
        if figure == "bytes":
            return f"{value / 2**20:.1f} MiB"
        if figure == "milliseconds":
            return f"{value:.1f}"
        return f"{value:.3g}" if figure == "stride" else counted(int(value))


def counted(count: int) -> str:
    """A count with the prefix that leaves less than a thousand before the point.

    Example:
        >>> counted(999), counted(68_070_000), counted(256_890_000_000)
        ('999', '68.07 M', '256.89 G')
    """
    value, prefixes = float(count), iter("kMGT")
    prefix = ""
    while round(value, 2) >= 1000:
        value, prefix = value / 1000, next(prefixes)
    return f"{value:.2f} {prefix}" if prefix else str(count)


def summarise(
    name: str,
    classes: int | None,
    network: nn.Module,
    size: tuple[int, int] = (512, 512),
    device: str | None = None,
    progress: Callable[[Any], Any] = iter,
) -> Summary:
    """Count a network and, on a device, measure it.

    Args:
        name: what the table is to call it.
        classes: C, or None to ask the network.
        network: images (1, 3, H, W) -> :class:`SegOutput`, or logits as other libraries give
            them; is moved to the device.
        size: (H, W).
        device: where milliseconds and memory are measured; None leaves them out.
        progress: wraps the passes, e.g. to draw a bar.

    Raises:
        UserError: the network cannot run on an image of this size.
    """
    if isinstance(network, FileNetwork):
        return _of_file(name, network, size, device)
    classes = getattr(network, "num_classes", None) if classes is None else classes
    figures: dict[str, dict[str, float]] = {
        "parameters": {**parameters(network)},
        "exported": _whole(exported_bytes(network)),
    }
    summary = Summary(name, classes, figures)
    try:
        summary.figures["multiply_adds"] = {**multiply_adds(network, size)}
        summary.figures["stride"] = strides(network, size)
    except Exception as error:  # a network that needs numbers, not shapes alone, or another size
        summary.problem = (
            f"Multiply-adds and stride of {name} cannot be found out from shapes: {one_line(error)}"
        )
    if device is not None:
        try:
            milliseconds, memory = speed(network, size, device, progress)
        except (RuntimeError, ValueError, AssertionError) as error:
            at = f"{size[0]} x {size[1]} on {device}"
            raise UserError(f"{name} cannot run at {at}: {one_line(error)}") from error
        summary.figures |= {"milliseconds": milliseconds, "bytes": {**memory}}
    return summary


def _whole(value: float) -> dict[str, float]:
    return {"total": value}


def _of_file(name: str, network: FileNetwork, size: tuple[int, int], device: str | None) -> Summary:
    """What a network's file costs; where it runs, nobody watches its parts or its memory."""
    path = Path(network.path)
    figures = {
        "parameters": _whole(network.description.parameters),
        "exported": _whole(1e6 * megabytes(path)),
    }
    summary = Summary(name, network.num_classes, figures)
    if path.suffix == ".onnx":
        try:
            figures["multiply_adds"] = _whole(file_multiply_adds(network.path, size))
        except UserError as error:
            summary.problem = str(error)
    if device is not None:
        image = torch.rand(1, 3, *size)
        figures["milliseconds"] = _whole(milliseconds(path, image, torch.get_num_threads()))
    return summary


def rows(summaries: Sequence[Summary]) -> list[list[str]]:
    """A line a figure and part, a column a network; the first line holds the names."""
    lines = [
        ["", *(s.name for s in summaries)],
        ["classes", *(str(s.classes or "-") for s in summaries)],
    ]
    for figure, title in FIGURES.items():
        for part in ("total", *PARTS[1:]):  # of a network without parts the total says it all
            if any(part in s.figures.get(figure, {}) for s in summaries):
                label = title if part == "total" else f"· {part}"
                lines.append([label, *(s.cell(figure, part) for s in summaries)])
    return lines


def notes(
    summaries: Sequence[Summary], size: tuple[int, int], device: str | None = None
) -> list[str]:
    """What the figures mean: a paragraph each."""
    instances = any("mask head" in each.figures["parameters"] for each in summaries)
    convention, stride = CONVENTION, STRIDE
    if instances:
        convention, stride = f"{CONVENTION} {INSTANCES}", f"{STRIDE} {INSTANCE_STRIDE}"
    lines = [f"One image of {size[0]} x {size[1]}. {convention}", EXPORTED, stride]
    if device is not None:
        lines.append(_measured(torch.device(device)))
    return lines + [summary.problem for summary in summaries if summary.problem]


def _measured(device: torch.device) -> str:
    if device.type == "cuda":
        where = torch.cuda.get_device_name(device)
        held = "torch.cuda.max_memory_allocated, libraries' workspaces included"
    else:
        where = f"the CPU, threads: {torch.get_num_threads()}"
        held = "the bytes of all tensors, without what an operator needs for itself in passing"
    return (
        f"Measured here: batch 1, float32, on {where}. Milliseconds: the median of {LEAST} to "
        f"{MOST} passes after a warm-up (no more once {ENOUGH:g} seconds have gone), the parts' "
        "taken from the same passes. Peak memory: the most that is held at one time while a part "
        f"runs, weights and image included ({held}). The whole is without the auxiliary head, "
        "which works in training alone."
    )


def terminal(summaries: Sequence[Summary]) -> Columns:
    """For the terminal."""
    (_, *names), *lines = rows(summaries)
    header = ["", *(name.replace(" ", "\n") for name in names)]
    return Columns(header, [[label.replace("·", " "), *cells] for label, *cells in lines])


def markdown(summaries: Sequence[Summary]) -> str:
    """A table for a Markdown page."""
    header, *lines = rows(summaries)
    rule = ["---"] + ["---:"] * (len(header) - 1)
    return "".join("| " + " | ".join(line) + " |\n" for line in (header, rule, *lines))


def write_csv(summaries: Sequence[Summary], size: tuple[int, int], file: Path) -> None:
    """A table for a spreadsheet: a line a network and part, in full precision."""
    with replacing_csv(file) as stream:
        writer = csv.writer(stream)
        writer.writerow(["network", "classes", "height", "width", "part", *FIGURES])
        for summary in summaries:
            for part in (*PARTS, "total"):
                values = [summary.figures.get(figure, {}).get(part) for figure in FIGURES]
                if any(value is not None for value in values):
                    writer.writerow([summary.name, summary.classes, *size, part, *values])
