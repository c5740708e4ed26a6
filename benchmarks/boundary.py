"""Time and memory of boundary extraction against the fastest one-hot, of BPKD against CWD.

    python -m benchmarks.boundary [--device cuda] [--classes 19] [--kernels 7] [--repeats 3]

One thread on a CPU. Both sides run in turn, in one process, on the same labels; each number is
the median. Peak memory is what the procedure allocates beside its input.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Iterator, Sequence
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.measuring import Procedure, milliseconds, peak_megabytes, seconds
from benchmarks.onehot import edge_masks_fast_onehot
from bpkd.boundary import edge_masks, trimap_bands
from bpkd.losses.bpkd import body_loss, edge_loss

IMAGES, SIDE, MASK_SIDE = 4, 512, 64
#: Classes, and the coarse cells of their blobs. Sparse: one pixel in six sees another label within
#: three, as in CamVid's maps. Dense: six to seven in ten.
BLOBS = {19: {"sparse": 5, "dense": 18}, 150: {"sparse": 3, "dense": 16}}


def blobby_labels(num_classes: int, cells: int, seed: int = 0) -> Tensor:
    """Label maps (4, 512, 512) of smooth regions: the argmax of an upsampled coarse noise."""
    generator = torch.Generator().manual_seed(seed)
    images = []
    for _ in range(IMAGES):
        logits = torch.rand(1, num_classes, cells, cells, generator=generator)
        images.append(F.interpolate(logits, size=(SIDE, SIDE), mode="bicubic").argmax(1))
    return torch.cat(images)


def edge_mask_cases(
    classes: Sequence[int], kernel_sizes: Sequence[int], device: str
) -> Iterator[tuple[str, dict[str, Procedure]]]:
    """Name of each case, and its two procedures: the reference first, then ours."""
    for num_classes in classes:
        for cells in BLOBS[num_classes].values():
            labels = blobby_labels(num_classes, cells).to(device)
            for kernel_size in kernel_sizes:
                near = float(trimap_bands(labels, kernel_size // 2).float().mean())
                arguments = (labels, num_classes, kernel_size, (MASK_SIDE, MASK_SIDE))
                yield (
                    f"{num_classes} classes, {near:.0%} near edges, kernel {kernel_size}",
                    {
                        "one-hot": partial(edge_masks_fast_onehot, *arguments),
                        "bpkd": partial(edge_masks, *arguments),
                    },
                )


def loss_cases(classes: Sequence[int], device: str) -> Iterator[tuple[str, dict[str, Procedure]]]:
    """Plain CWD, and both terms of BPKD given its masks: forward and backward."""
    for num_classes in classes:
        labels = blobby_labels(num_classes, BLOBS[num_classes]["sparse"]).to(device)
        masks = edge_masks(labels, num_classes, 7, (MASK_SIDE, MASK_SIDE))
        generator = torch.Generator().manual_seed(0)
        shape = (2, IMAGES, num_classes, MASK_SIDE, MASK_SIDE)
        student, teacher = torch.randn(shape, generator=generator).to(device)
        student.requires_grad_()
        yield (
            f"{num_classes} classes, CWD against BPKD",
            {"cwd": partial(backward_cwd, student, teacher)}
            | {"bpkd": partial(backward_bpkd, student, teacher, masks)},
        )


def backward_cwd(student: Tensor, teacher: Tensor, temperature: float = 4.0) -> Tensor:
    """The gradient of CWD, written down the plain way."""
    log_q = F.log_softmax(student.flatten(2) / temperature, dim=2)
    log_p = F.log_softmax(teacher.flatten(2) / temperature, dim=2)
    loss = F.kl_div(log_q, log_p, reduction="sum", log_target=True)
    loss = temperature**2 / (student.shape[0] * student.shape[1]) * loss
    return torch.autograd.grad(loss, student)[0]


def backward_bpkd(student: Tensor, teacher: Tensor, masks: Tensor) -> Tensor:
    """The gradient of both terms of BPKD as they are defined, given the masks."""
    loss = edge_loss(student, teacher, masks) + body_loss(student, teacher, masks)
    return torch.autograd.grad(loss, student)[0]


def print_case(case: str, procedures: dict[str, Procedure], repeats: int, device: str) -> None:
    """Measure two procedures and print a line: time of each, memory of each, their ratios."""
    reference, ours = procedures
    # Memory comes first: its run is the warm-up of the times.
    memory = {name: peak_megabytes(run, device) for name, run in procedures.items()}
    # On a CPU the process's own time: others may be busy on the machine.
    clock = time.process_time if device == "cpu" else time.perf_counter
    rounds = milliseconds(procedures, repeats, partial(seconds, device, clock))
    times = {name: statistics.median(values) for name, values in rounds.items()}
    line = f"{case:40}"
    for values, unit in ((times, "ms"), (memory, "MiB")):
        line += (
            f" | {reference} {values[reference]:9,.1f} {unit}, {ours} {values[ours]:7,.1f} {unit}"
        )
        line += f", {values[reference] / values[ours]:6,.1f} x"
    print(line, flush=True)


def main() -> None:
    """Measure, and print one line a case."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--classes", type=int, nargs="+", choices=tuple(BLOBS), default=(19, 150))
    parser.add_argument("--kernels", type=int, nargs="+", default=(7,))
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    torch.set_num_threads(1)
    print(f"Edge masks of {IMAGES} label maps of {SIDE} x {SIDE}, {options.device}")
    for case, procedures in edge_mask_cases(options.classes, options.kernels, options.device):
        print_case(case, procedures, options.repeats, options.device)
    print(f"Losses of logits at stride 8, forward and backward, {options.device}")
    for case, procedures in loss_cases(options.classes, options.device):
        print_case(case, procedures, max(options.repeats, 15), options.device)


if __name__ == "__main__":
    main()
