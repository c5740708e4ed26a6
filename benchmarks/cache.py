"""What a teacher's cache saves: a step without it, while it is filled, and from it; and its price.

    python -m benchmarks.cache [PAIR ...] [--method bpkd] [--size 128] [--batch 4] [--rounds 7]
    python -m benchmarks.cache --rounding [--size 128] [--classes 19]

PAIR is ``demo`` or one of the paper's (pspnet, hrnet, deeplabv3plus, isanet), with random weights,
images and labels. The procedures take turns; a ratio is the median over the rounds of a step over
another one of the same round, see :mod:`benchmarks.methods`. ``floor`` is the sum of the plain step
and of what gives the teacher's output: its forward pass, or reading its record. With one thread
(the default) the time is the processor's.

``--rounding`` trains nothing. It prints how far each way of keeping the teacher's output moves the
losses and their gradients with respect to the student's logits, of maps that are smooth as a
trained network's are, and what a draw takes on the disk, also if it were compressed.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import tempfile
import time
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import torch
from torch import Tensor

from benchmarks.measuring import milliseconds
from benchmarks.methods import images_and_labels, ratio, recipes, step
from benchmarks.table2 import PAIRS
from bpkd.losses.bpkd import BPKD
from bpkd.losses.cwd import CWD
from bpkd.losses.kd import KD
from bpkd.networks.base import SegOutput, resize
from bpkd.recipe.schema import Recipe
from bpkd.training.building import build_distiller
from bpkd.training.distiller import Distiller
from bpkd.training.teacher_cache.cache import TeacherCache
from bpkd.training.teacher_cache.folders import size_of
from bpkd.training.teacher_cache.outputs import asked_for, shapes
from bpkd.training.teacher_cache.packing import Packing, Precision, to_bytes


def pair(name: str, method: str) -> dict[str, Recipe]:
    """The plain student, the teacher alone, and the method, on a pair of networks."""
    found = recipes([method])
    if name != "demo":
        teacher, student = ({"use": f"bpkd.networks.{network}"} for network in PAIRS[name])
        for key, recipe in found.items():
            content = recipe.model_dump(by_alias=True) | {"student": student}
            content["teacher"] = teacher if recipe.teacher else None
            found[key] = Recipe.model_validate(content)
    return found


@dataclass(frozen=True)
class Measured:
    """Milliseconds of each procedure in each round, and the bytes of a draw."""

    times: dict[str, list[float]]
    draw: int

    def over(self, one: str, *others: str, students: int = 1) -> str:
        """Median and spread of a procedure over the sum of others, for each of its students."""
        floor = [sum(each) for each in zip(*(self.times[o] for o in others), strict=True)]
        return ratio([ms / students for ms in self.times[one]], floor).strip()


def ready(recipe: Recipe, batch: tuple[Tensor, Tensor], classes: int) -> tuple[Distiller, Any]:
    """A distiller that has made one step, and its optimizer."""
    data = SimpleNamespace(classes=["?"] * classes, ignore_index=255)
    distiller = build_distiller(recipe, data)
    distiller.log_dict = lambda *_, **__: None  # type: ignore[method-assign]  # there is no trainer
    distiller.on_fit_start()
    distiller.train()
    optimizer = distiller.configure_optimizers()["optimizer"]
    step(distiller, optimizer, batch)
    return distiller, optimizer


def cached(distiller: Distiller, folder: str, size: tuple[int, int]) -> TeacherCache:
    """A cache of what the distiller's losses ask for."""
    assert distiller.teacher is not None
    given = shapes(distiller.teacher, SegOutput, size)
    asked = asked_for(distiller.losses.values(), given)
    return TeacherCache(Path(folder), SegOutput, {name: Packing(given[name]) for name in asked})


class Shared:
    """In the place of a cache: the teacher is asked by the first of several students."""

    def __init__(self) -> None:
        self.output: Any = None

    def __call__(self, teacher: Callable[[Tensor], Any], images: Tensor, first: int) -> Any:
        """The one output."""
        if self.output is None:
            self.output = teacher(images)
        return self.output


def together(distiller: Distiller, optimizer: Any, batch: tuple[Tensor, ...], count: int) -> None:
    """The steps of so many students of one size that share one pass of the teacher."""
    distiller.cache, distiller.batch = Shared(), 0  # type: ignore[assignment]
    for _ in range(count):
        step(distiller, optimizer, batch)
    distiller.cache = None


def measure(name: str, given: argparse.Namespace, several: Sequence[int] = ()) -> Measured:
    """A pair's steps, and those of several students together."""
    batch = images_and_labels(given.batch, given.size)
    built = {key: ready(recipe, batch, 10) for key, recipe in pair(name, given.method).items()}
    (plain, alone, method) = built.values()
    with tempfile.TemporaryDirectory() as folder:
        cache = cached(method[0], folder, (given.size, given.size))
        draws = itertools.count(1)

        def with_cache(cold: bool) -> None:
            method[0].cache, method[0].batch = cache, next(draws) if cold else 0
            step(*method, batch)
            method[0].cache = None

        def read() -> None:
            cache(method[0].ask_teacher, batch[0], 0)

        procedures: dict[str, Callable[[], object]] = {
            "plain": lambda: step(*plain, batch),
            "teacher": lambda: method[0].ask_teacher(batch[0]),
            "reading": read,
            "teacher alone": lambda: step(*alone, batch),
            given.method: lambda: step(*method, batch),
            "cold cache": lambda: with_cache(True),
            "warm cache": lambda: with_cache(False),
        }
        for count in several:
            procedures[f"together {count}"] = partial(together, *method, batch, count)
        clock = time.process_time if given.threads == 1 else time.perf_counter
        times = {k: v[1:] for k, v in milliseconds(procedures, 1 + given.rounds, clock).items()}
        return Measured(times, sum(records.whole for records in cache.records.values()))


def report(name: str, given: argparse.Namespace, found: Measured) -> None:
    """Print the table of a pair."""
    times = found.times
    print(
        f"{name}, {given.method}: {given.batch} images of {given.size} x {given.size}, 10 classes, "
        f"CPU, {given.threads} thread(s), torch {torch.__version__}, {given.rounds} rounds; "
        f"{size_of(found.draw)} a draw"
    )
    print(f"{'':14} {'ms':>8}  {'x plain':^12}  {'x floor':^12}")
    for key, ours in times.items():
        source = "reading" if key == "warm cache" else "teacher"
        taught = key in (given.method, "cold cache", "warm cache")
        against = found.over(key, "plain", source) if taught else ""
        print(f"{key:14} {statistics.median(ours):8.1f}  {found.over(key, 'plain'):12}  {against}")


# Rounding -----------------------------------------------------------------------------------------


def maps(classes: int, size: int, seed: int) -> Tensor:
    """Logits as a trained network gives them: regions of a class, sure inside, soft at outlines."""
    draw = torch.Generator().manual_seed(seed)
    coarse = torch.randn(4, classes, size // 8, size // 8, generator=draw) * 6
    return resize(coarse, (size, size)) + torch.randn(4, classes, size, size, generator=draw) / 2


def rounding(given: argparse.Namespace) -> None:
    """Print the greatest relative change of each loss, and of its gradient."""
    side = given.size // 8
    teacher, classes = maps(given.classes, side, 0), given.classes
    # A student on its way: near the teacher, and not there.
    start = teacher + 2 * torch.randn(teacher.shape, generator=torch.Generator().manual_seed(1))
    labels = resize(teacher, (given.size, given.size)).argmax(1)
    packed = [Packing((classes, side, side), cast(Precision, d)) for d in ("float16", "bfloat16")]
    few = [k for k in (5, 10, 20, 50) if k < classes]
    packed += [Packing((classes, side, side), "float16", k) for k in few]
    print(f"{classes} classes, logits of {side} x {side}; change of the loss, of its gradient")
    print(f"{'':16} {'a draw':>8} {'zlib':>6}" + "".join(f"{n:>20}" for n in ("kd", "cwd", "bpkd")))
    for how in packed:
        parts = how.packed(teacher)
        content = to_bytes(parts)[0]
        kept = how.unpacked(parts)
        cells = []
        for loss in (KD(), CWD(), BPKD()):
            exact, moved = (_value(loss, start, target, labels) for target in (teacher, kept))
            value = abs(moved[0] - exact[0]) / abs(exact[0])
            slope = (moved[1] - exact[1]).norm() / exact[1].norm()
            cells.append(f"{value:10.1e}{slope:10.1e}")
        name = how.dtype + (f" top {how.top_k}" if how.sparse else "")
        small = len(zlib.compress(content, 1)) / len(content)
        print(f"{name:16} {size_of(how.size):>8} {small:6.2f}" + "".join(cells))


def _value(loss: Any, start: Tensor, teacher: Tensor, labels: Tensor) -> tuple[float, Tensor]:
    student = start.clone().requires_grad_()
    terms = loss(SegOutput(student, {}), SegOutput(teacher, {}), labels)
    total = torch.stack([loss.weights[name] * value for name, value in terms.items()]).sum()
    (slope,) = torch.autograd.grad(total, student)
    return total.item(), slope


def main(arguments: Sequence[str] | None = None) -> None:
    """Read the arguments, and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("pairs", nargs="*", metavar="PAIR", help=", ".join(["demo", *PAIRS]))
    parser.add_argument("--method", default="bpkd")
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--classes", type=int, default=19)
    parser.add_argument("--rounding", action="store_true", help="change of the losses instead")
    given = parser.parse_args(arguments)
    torch.set_num_threads(given.threads)
    if given.rounding:
        rounding(given)
        return
    for name in given.pairs or ["demo"]:
        report(name, given, measure(name, given))


if __name__ == "__main__":
    main()
