"""What a training step takes: milliseconds by part, memory; multiply-adds of the paper's Table 2.

    python -m benchmarks.step [--size 128 128] [--batch 2] [--repeat 5]
    python -m benchmarks.step PAIR METHOD [--size 512 512] [--batch 2] [--device cpu]
    python -m benchmarks.step --table2 [--throughput 30]

Without a pair, the price of BPKD's step for the demo and the four pairs, a line each, beside what a
step cannot do without: the student's plain step, and the teacher's pass or reading its record (the
floor; :mod:`benchmarks.cache`). ``together`` is the time a student of 1, 2 and 4 that share one
pass of the teacher, over the plain step. Processor time of one thread, 10 classes.

PAIR is one of the paper's (pspnet, hrnet, deeplabv3plus, isanet), METHOD one of the shipped ones
(plain, kd, skds, ifvd, cirkd, cwd, bpkd ...). Times are medians over some steps after a first one
that does not count, on random images. Batch, crop and iterations of Table 2 are its recipes'.
"""

from __future__ import annotations

import argparse
import resource
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from statistics import median
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from benchmarks import cache
from benchmarks.measuring import seconds
from benchmarks.table2 import PAIRS, table2
from bpkd.errors import UserError
from bpkd.recipe.files import RECIPES, read
from bpkd.recipe.schema import Recipe
from bpkd.training.building import build_distiller
from bpkd.training.distiller import Distiller
from bpkd.training.teacher_cache.folders import size_of

METHODS = sorted({file.stem for file in (RECIPES / "_losses").glob("*.yaml")} - {"teacher"})


class Clock:
    """Milliseconds by part; a part that comes several times in a step is added up."""

    def __init__(self, device: torch.device, clock: Callable[[], float]) -> None:
        self.device, self.clock = device, clock
        self.steps: list[dict[str, float]] = []

    @contextmanager
    def __call__(self, part: str) -> Iterator[None]:
        """Time what is inside."""
        begin = seconds(self.device, self.clock)
        yield
        self.steps[-1][part] += 1000 * (seconds(self.device, self.clock) - begin)

    def medians(self) -> dict[str, float]:
        """Of all steps but the first."""
        return {part: median(step[part] for step in self.steps[1:]) for part in self.steps[0]}


def build(pair: str, method: str, classes: int) -> Distiller:
    """A pair with random weights, and a method's losses at their own weights."""
    teacher, student = ({"use": f"bpkd.networks.{name}"} for name in PAIRS[pair])
    losses = read(RECIPES / "_losses" / f"{method}.yaml").get("losses") or {}
    content = {"name": method, "run": "", "data": {"use": "bpkd.datasets.scenes.Scenes"}}
    plain = {name: dict(entry) for name, entry in losses.items()}
    recipe = Recipe.model_validate(
        content | {"student": student, "teacher": teacher if plain else None, "losses": plain}
    )
    return build_distiller(recipe, SimpleNamespace(classes=["?"] * classes, ignore_index=255))


def step(
    distiller: Distiller, optimizer: Any, images: Tensor, labels: Tensor, clock: Clock, cast: Any
) -> None:
    """One training step, as the distiller makes it, part by part."""
    clock.steps.append(defaultdict(float))
    with clock("student forward"), cast():
        student = distiller.student(images)
    teacher = None
    if distiller.teacher is not None:
        with clock("teacher forward"), cast(), torch.no_grad():
            teacher = distiller.teacher(images)
    with clock("loss"):
        total, _ = distiller.task.own_loss(student, labels)
        for name, loss in distiller.losses.items():
            for term, value in loss(student, teacher, labels).items():
                total = total + distiller.weighted[name].at(term, 0) * value
    with clock("backward"):
        total.backward()
    for loss in distiller.losses.values():
        if hasattr(loss, "own_step"):
            with clock("discriminator"):
                loss.own_step(student, teacher, labels)
    with clock("optimizer"):
        optimizer.step()
        optimizer.zero_grad()


def measure(given: argparse.Namespace) -> None:
    """Print milliseconds by part, and the memory."""
    device, size = torch.device(given.device), tuple(given.size)
    torch.manual_seed(0)
    distiller = build(given.pair, given.method, given.classes).to(device)
    distiller.train()
    if distiller.teacher is not None:
        distiller.teacher.to(device).to(memory_format=torch.channels_last).eval()
        distiller.teacher.requires_grad_(False)
        if any(getattr(loss, "needs_auxiliary", False) for loss in distiller.losses.values()):
            distiller.teacher.auxiliary_in_eval = True
    images = torch.rand(given.batch, 3, *size, device=device).to(memory_format=torch.channels_last)
    blocks = torch.randint(given.classes, (given.batch, 1, size[0] // 32 + 1, size[1] // 32 + 1))
    labels = interpolate(blocks.float(), size)[:, 0].long().to(device)
    bf16 = given.precision == "bf16"
    cast: Callable[[], Any] = nullcontext
    if bf16:
        cast = lambda: torch.autocast(device.type, torch.bfloat16)  # noqa: E731
    optimizer = distiller.configure_optimizers()["optimizer"]
    clock = Clock(device, time.process_time if given.cpu_time else time.perf_counter)
    for _ in range(given.repeat + 1):
        step(distiller, optimizer, images, labels, clock, cast)
    report(given, clock.medians(), device)


def report(given: argparse.Namespace, parts: dict[str, float], device: torch.device) -> None:
    """Print the table."""
    where = torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"
    print(
        f"{given.pair}, {given.method}: {given.batch} images of {given.size[0]} x {given.size[1]}, "
        f"{given.classes} classes, {given.precision}; {where}, {torch.get_num_threads()} threads, "
        f"torch {torch.__version__}, median of {given.repeat} steps"
        + (", processor time of all threads" if given.cpu_time else "")
    )
    total = sum(parts.values())
    for part, ms in (parts | {"step": total}).items():
        print(f"{part:16s} {ms:9.1f} ms {ms / total:6.1%}")
    print(f"{'images a second':16s} {1000 * given.batch / total:9.2f}")
    if device.type == "cuda":
        peak, what = torch.cuda.max_memory_allocated(device), "allocated on the GPU"
    else:
        unit = 1 if sys.platform == "darwin" else 1024
        peak, what = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit, "the whole process"
    print(f"{'peak memory':16s} {peak / 1e9:9.2f} GB ({what})")


COLUMNS = [
    "pair", "plain, ms", "teacher, x plain", "BPKD, x floor", "cold, x floor", "warm, x floor",
    "warm, x plain", *(f"together {n}, x plain" for n in (1, 2, 4)), "a draw",
]  # fmt: skip


def prices(given: argparse.Namespace) -> None:
    """Print the table of all pairs, in Markdown."""
    torch.set_num_threads(1)
    size, rounds = given.size[0], given.repeat
    print(
        f"{given.batch} images of {size} x {size}, 10 classes, CPU, 1 thread, processor time, "
        f"torch {torch.__version__}, {rounds} rounds\n"
    )
    print("| " + " | ".join(COLUMNS) + " |\n| --- |" + " ---: |" * (len(COLUMNS) - 1))
    for name in ("demo", *PAIRS):
        how = argparse.Namespace(
            method="bpkd", size=size, batch=given.batch, rounds=rounds, threads=1
        )
        found = cache.measure(name, how, several=(1, 2, 4))
        cells = [
            name, f"{median(found.times['plain']):.1f}", found.over("teacher", "plain"),
            found.over("bpkd", "plain", "teacher"), found.over("cold cache", "plain", "teacher"),
            found.over("warm cache", "plain", "reading"), found.over("warm cache", "plain"),
            *(found.over(f"together {n}", "plain", students=n) for n in (1, 2, 4)),
            size_of(found.draw),
        ]  # fmt: skip
        print("| " + " | ".join(cells) + " |", flush=True)


def main() -> None:
    """Read the arguments, and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("pair", nargs="?", choices=PAIRS)
    parser.add_argument("method", nargs="?", choices=METHODS)
    parser.add_argument("--size", type=int, nargs=2, metavar=("H", "W"))
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument("--classes", type=int, default=19)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--precision", choices=("32", "bf16"), default="32")
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument(
        "--cpu-time", action="store_true", help="processor time, for a machine that others use, too"
    )
    parser.add_argument("--table2", action="store_true", help="multiply-adds instead of times")
    parser.add_argument("--throughput", type=float, default=30, help="10^12 multiply-adds a second")
    given = parser.parse_args()
    if given.table2:
        table2(given.throughput)
    elif given.pair is None:
        given.size = given.size or (128, 128)
        prices(given)
    elif given.method is None:
        parser.error("expected PAIR and METHOD, nothing, or --table2")
    else:
        given.size = given.size or (512, 512)
        try:
            measure(given)
        except UserError as error:
            parser.exit(2, f"{error}\n")


if __name__ == "__main__":
    main()
