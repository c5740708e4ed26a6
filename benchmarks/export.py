"""Every network as an ONNX file: is it the same network, for any size and for one?

    python -m benchmarks.export [NAME ...] [--only any|one] [--keep FILE]

Each is built with random weights and 19 classes, exported, loaded in a new process and compared on
random images: for any size at 192 x 256 and at 145 x 193, which is no multiple of a stride; for one
size at 192 x 256. ``difference`` is the largest between two logits, beside their range; ``changed``
the share of pixels whose class differs, ``outline`` that share within 3 px of an outline. A network
that cannot be exported has the reason in its row. Rows that FILE holds already are not made again.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from torch import nn

from bpkd import networks
from bpkd.errors import UserError
from bpkd.export.instances import LeavingInstances, verify_instances
from bpkd.export.leaving import Leaving
from bpkd.export.verification import Verified, verify
from bpkd.export.writing import Job, onnx
from bpkd.networks import SOLOv2
from bpkd.networks.files.described import Description
from bpkd.networks.foreign import from_smp, from_torchvision, from_transformers

CLASSES = 19
SIZE, ODD = (192, 256), (145, 193)
SEGFORMER = {
    "model_type": "segformer",
    "depths": [1, 1, 1, 1],
    "hidden_sizes": [16, 32, 64, 128],
    "decoder_hidden_size": 64,
}
NETWORKS: dict[str, Callable[[], nn.Module]] = {
    name: partial(getattr(networks, name), CLASSES)
    for name in (
        "pspnet_r18",
        "isanet_r18",
        "hrnet_w18s",
        "deeplabv3plus_mv2",
        "pspnet_r101",
        "isanet_r101",
        "hrnet_w48",
        "deeplabv3plus_r101",
    )
}
for backbone in ("resnet18", "mobilenetv3_large_100", "convnext_atto"):
    NETWORKS[f"PSPNet {backbone}"] = partial(networks.PSPNet, CLASSES, backbone, 16, 64)
    NETWORKS[f"DeepLabV3Plus {backbone}"] = partial(
        networks.DeepLabV3Plus, CLASSES, backbone, 16, 64
    )
NETWORKS |= {
    "transformers SegFormer": partial(from_transformers, CLASSES, config=SEGFORMER),
    "smp FPN resnet18": partial(from_smp, CLASSES, "FPN", encoder_name="resnet18"),
    "torchvision LRASPP": partial(from_torchvision, CLASSES, "lraspp_mobilenet_v3_large"),
    "solov2_light_r18": partial(networks.solov2_light_r18, CLASSES),
}


def compared(network: nn.Module, size: tuple[int, int] | None) -> Verified:
    """A network written for any size (None) or one, and compared in a new process."""
    known = Description(
        classes=[f"class {i}" for i in range(CLASSES)], palette=[(i, 0, 0) for i in range(CLASSES)],
        size=size,
    )  # fmt: skip
    leaving: Leaving | LeavingInstances = Leaving(network, known)
    if isinstance(network, SOLOv2):
        changes = {"task": "instance", "output": "instances", "grids": list(network.num_grids)}
        known = known.model_copy(update=changes)
        leaving = LeavingInstances(network, known)
    sizes = [SIZE, ODD] if size is None else [size]
    generator = torch.Generator().manual_seed(0)
    images = [torch.rand(1, 3, *each, generator=generator) for each in sizes]
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "network.onnx"
        onnx(Job(leaving, known), file)
        if isinstance(leaving, LeavingInstances):
            return verify_instances(leaving, file, images, "random images")
        return verify(leaving, file, images, "random images")


def kind_of(size: tuple[int, int] | None) -> str:
    """Which sizes a row is about."""
    return "any" if size is None else f"{size[0]} x {size[1]}"


def known_rows(file: Path | None) -> dict[tuple[str, str], str]:
    """The rows in a file, by network and sizes."""
    lines = file.read_text().splitlines() if file and file.is_file() else []
    cells = [[cell.strip() for cell in line.split("|")] for line in lines]
    return {(cell[1], cell[2]): line for cell, line in zip(cells, lines, strict=True)}


def row(name: str, size: tuple[int, int] | None) -> str:
    """A line of the table."""
    torch.manual_seed(0)
    kind = kind_of(size)
    try:
        found = compared(NETWORKS[name]().eval(), size)
    except UserError as error:
        return f"| {name} | {kind} | - | - | - | {error} |"
    return (
        f"| {name} | {kind} | {found.difference:.1g} of {found.spread:.2g} | "
        f"{100 * found.changed:.3f}% | {100 * found.outline:.3f}% | |"
    )


def main() -> None:
    """Print the table, line by line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(NETWORKS))
    parser.add_argument("--only", choices=("any", "one"))
    parser.add_argument("--keep", type=Path, metavar="FILE", help="rows made so far")
    given = parser.parse_args()
    kept = known_rows(given.keep)
    print("| network | sizes | difference | changed | outline | |")
    print("| --- | --- | ---: | ---: | ---: | --- |", flush=True)
    sizes = {"any": [None], "one": [SIZE], None: [None, SIZE]}[given.only]
    for name in given.names or NETWORKS:
        for size in sizes:
            found = kept.get((name, kind_of(size))) or row(name, size)
            print(found, flush=True)
            if given.keep and (name, kind_of(size)) not in kept:
                with given.keep.open("a") as stream:
                    stream.write(f"{found}\n")


if __name__ == "__main__":
    main()
