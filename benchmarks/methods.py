"""What each method adds to a training step: milliseconds and memory beside the plain student.

    python -m benchmarks.methods [METHOD ...] [--size 128] [--batch 4] [--rounds 7] [--threads 1]

The recipes of ``methods/``, on the networks of the demo with random weights and random images. In
each round every method makes one step, in turn, so that what disturbs the machine disturbs all of
them; a round before them does not count. Each ratio is the median over the rounds of a method's
step over the plain one of the same round, and the spread is half the range between the quartiles.
``teacher alone`` is a step with the teacher's forward pass and no loss: the price of any method.
``cirkd's products`` is CIRKD's step with the products of all pixels with all, forward and backward,
and nothing done with them: what no way to write its softmax can go below.

With one thread the time is the processor's, which others on the machine hardly touch; with more
it is the clock's. Memory is the most that the tensors allocated within a step hold at once, by
torch's profiler, and beside it what a loss holds between steps: queues, adapters.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Sequence
from functools import partial
from types import SimpleNamespace
from unittest.mock import patch

import torch
import yaml
from torch import Tensor, nn

from benchmarks.measuring import Procedure, milliseconds, peak_megabytes
from bpkd.losses import related
from bpkd.recipe.files import shipped_recipes
from bpkd.recipe.loading import load_recipe
from bpkd.recipe.schema import Recipe
from bpkd.recipe.trust import trusted
from bpkd.training.building import build_distiller
from bpkd.training.distiller import Distiller

CLASSES = 10
METHODS = [
    name.removeprefix("methods/")
    for name in shipped_recipes()
    if name.startswith("methods/") and name not in ("methods/plain", "methods/teacher")
]


class Nothing(nn.Module):
    """No loss at all: what is left is the teacher's forward pass."""

    weights = {"nothing": 1.0}  # noqa: RUF012

    def forward(self, student: object, teacher: object, labels: Tensor) -> dict[str, Tensor]:
        """Anything -> 0."""
        return {"nothing": labels.new_zeros((), dtype=torch.float32)}


def products(
    student: tuple[Tensor, Tensor],
    teacher: tuple[Tensor, Tensor],
    weights: Tensor,
    block: int,
    valid: Tensor | None = None,
) -> Tensor:
    """The matrix products of :func:`bpkd.losses.related.related_kl` alone, in parts as there."""
    rows, columns = student
    total = rows.new_zeros(())
    part = max(1, related._CPU // columns.shape[1])
    for ours, theirs in zip(rows.split(part), teacher[0].split(part), strict=True):
        with torch.no_grad():
            similar, _ = ours @ columns, theirs @ teacher[1]
            slope = similar @ columns.T
            back = ours.T @ similar if columns.requires_grad else None
        total = total + (slope * ours).sum()
        if back is not None:
            total = total + (back * columns).sum()
    return total * 0


def only_products(run: Procedure) -> None:
    """A step of CIRKD's in which :func:`products` stands for its divergences."""
    with (
        patch("bpkd.losses.cirkd.related_kl", products),
        patch("bpkd.losses.cirkd_memory.related_kl", products),
    ):
        run()


def recipes(names: Sequence[str]) -> dict[str, Recipe]:
    """The plain student, the teacher alone, and the methods, whose teacher has no run."""
    network = load_recipe("methods/teacher").student
    described = {"use": network.use, **network.arguments}
    teacher = "teacher=" + yaml.safe_dump(described, default_flow_style=True, width=10_000)
    nothing = "losses={none: {use: benchmarks.methods.Nothing}}"
    with trusted():  # Nothing is no library's
        return {
            "plain": load_recipe("methods/plain"),
            "teacher alone": load_recipe("methods/kd", [teacher, nothing]),
        } | {name: load_recipe(f"methods/{name}", [teacher]) for name in names}


def step(distiller: Distiller, optimizer: torch.optim.Optimizer, batch: tuple[Tensor, ...]) -> None:
    """One training step, as the distiller makes it."""
    images, labels = batch
    distiller.training_step((images, labels), 0).backward()  # type: ignore[no-untyped-call]
    for loss in distiller.losses.values():
        if hasattr(loss, "own_step"):
            loss.own_step(*distiller.step)
    optimizer.step()
    optimizer.zero_grad()


def prepared(recipe: Recipe, batch: tuple[Tensor, ...]) -> tuple[Procedure, float]:
    """A recipe's step, and the MiB that its losses hold between steps."""
    data = SimpleNamespace(classes=["?"] * CLASSES, ignore_index=255)
    distiller = build_distiller(recipe, data)
    distiller.log_dict = lambda *_, **__: None  # type: ignore[method-assign]  # there is no trainer
    distiller.on_fit_start()
    distiller.train()
    optimizer = distiller.configure_optimizers()["optimizer"]
    run = partial(step, distiller, optimizer, batch)
    run()  # the optimizer's state is made in the first step
    kept = [*distiller.losses.parameters(), *distiller.losses.buffers()]
    held = sum(tensor.numel() * tensor.element_size() for tensor in kept) / 2**20
    return run, held


def images_and_labels(count: int, size: int) -> tuple[Tensor, Tensor]:
    """Noise, and labels in squares of 16 pixels."""
    draw = torch.Generator().manual_seed(0)
    cells = torch.randint(CLASSES, (count, -(-size // 16), -(-size // 16)), generator=draw)
    labels = cells.repeat_interleave(16, 1).repeat_interleave(16, 2)[:, :size, :size]
    return torch.rand(count, 3, size, size, generator=draw), labels


def ratio(ours: list[float], theirs: list[float]) -> str:
    """Median and spread of the ratios round by round."""
    ratios = [one / other for one, other in zip(ours, theirs, strict=True)]
    if len(ratios) < 2:
        return f"{ratios[0]:5.2f}"
    low, middle, high = statistics.quantiles(ratios, n=4, method="inclusive")
    return f"{middle:5.2f} ± {(high - low) / 2:4.2f}"


def main() -> None:
    """Measure, and print a line a method."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("methods", nargs="*", metavar="METHOD", help=", ".join(METHODS))
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    batch = images_and_labels(given.batch, given.size)
    ready = {
        name: prepared(recipe, batch) for name, recipe in recipes(given.methods or METHODS).items()
    }
    if "cirkd" in ready:
        run, held = prepared(recipes(["cirkd"])["cirkd"], batch)
        ready["cirkd's products"] = partial(only_products, run), held
    steps = {name: run for name, (run, _) in ready.items()}
    peaks = {name: peak_megabytes(run, "cpu") for name, run in steps.items()}
    clock = time.process_time if given.threads == 1 else time.perf_counter
    times = milliseconds(steps, 1 + given.rounds, clock)
    found = {name: values[1:] for name, values in times.items()}
    print(
        f"{given.batch} images of {given.size} x {given.size}, {CLASSES} classes, CPU, "
        f"{given.threads} thread(s), torch {torch.__version__}, {given.rounds} rounds"
    )
    print(f"{'':16} {'ms':>8}  {'x plain':^12}  {'x teacher':^12} {'MiB':>7} x plain  MiB kept")
    for name, ours in found.items():
        print(
            f"{name:16} {statistics.median(ours):8.1f}  "
            f"{ratio(ours, found['plain']):12}  "
            f"{ratio(ours, found['teacher alone']):12} "
            f"{peaks[name]:7.1f} {peaks[name] / peaks['plain']:7.2f} {ready[name][1]:9.1f}"
        )


if __name__ == "__main__":
    main()
