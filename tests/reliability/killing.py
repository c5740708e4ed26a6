"""Runs in processes of their own that are killed, or told to stop, at a chosen moment.

A process is forked off one that has loaded everything, so that a trial takes a second.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path

import torch

import bpkd.inference.evaluation
import bpkd.training.run  # noqa: F401  (loaded before the fork)
from bpkd import train
from bpkd.cli.ending import mendable

#: TensorBoard's files bear the time and the process in their names.
NOT_COMPARED = ("tensorboard", ".bpkd.lock")

RECIPE = """
max_iters: 6
batch_size: 2
workers: 0
checkpoint_every: 2
data: {use: bpkd.datasets.scenes.Scenes, size: [32, 32], count: 3}
augment: {crop: [32, 32]}
student: {use: tests.reliability.killing.Plain}
evaluation: {every: 3, trimap_widths: [1]}
schedule: {floor: 0.0}
"""


class Plain(torch.nn.Module):
    """A few thousand weights with batch norm and dropout: all that a resume has to bring back."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.first = torch.nn.Conv2d(3, 8, 3, stride=2, padding=1)
        self.norm = torch.nn.BatchNorm2d(8)
        self.last = torch.nn.Conv2d(8, num_classes, 1)

    def forward(self, images: torch.Tensor):
        from bpkd.networks.base import SegOutput

        maps = self.norm(self.first(images)).relu()
        maps = torch.nn.functional.dropout(maps, 0.3, self.training)
        return SegOutput(self.last(maps), {"head": maps})


def start(work: Callable[[], object], place: Path) -> int:
    """Do some work in a new process that begins in a folder; the process's number."""
    sys.stdout.flush()
    if child := os.fork():
        return child
    code = 70
    try:
        os.chdir(place)
        with open(place / "out.txt", "a") as out:
            os.dup2(out.fileno(), 1)
            os.dup2(out.fileno(), 2)
        sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115
        sys.stderr = open(2, "w", closefd=False)  # noqa: SIM115
        torch.set_num_threads(1)
        work()
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    except BaseException as error:
        line = mendable(error) if isinstance(error, Exception) else None
        if line is None:
            traceback.print_exc()
        else:
            print(f"bpkd: {line}", flush=True)
            code = 2
    finally:
        with contextlib.suppress(OSError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


def ended(process: int) -> int:
    """Wait for a process: its exit code, or minus the signal that killed it."""
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


def training(*overrides: str, **options: bool) -> Callable[[], object]:
    """The work of training the recipe in the folder in which the process begins."""
    return lambda: train("r.yaml", "run=run", *overrides, progress=False, **options)


def killed_at_rename(number: int, after: bool, work: Callable[[], object]) -> Callable[[], object]:
    """The same work, but SIGKILL comes before or after the file or folder of that number has
    taken its place; 0 counts them in ``renames.txt``."""

    def hooked() -> object:
        count = 0

        def wrapped(function):
            def call(*arguments, **options):
                nonlocal count
                count += 1
                if count == number and not after:
                    os.kill(os.getpid(), signal.SIGKILL)
                function(*arguments, **options)
                if count == number:
                    os.kill(os.getpid(), signal.SIGKILL)
                Path("renames.txt").write_text(str(count))

            return call

        os.replace, os.rename = wrapped(os.replace), wrapped(os.rename)
        return work()

    return hooked


def killed_after(seconds: float, work: Callable[[], object], place: Path) -> int:
    """Do the work, and kill it after a time; the exit code."""
    process = start(work, place)
    time.sleep(seconds)
    os.kill(process, signal.SIGKILL)  # a zombie takes it too
    return ended(process)


def new_place(folder: Path, name: str, recipe: str = RECIPE) -> Path:
    """A folder with the recipe."""
    place = folder / name
    place.mkdir(parents=True)
    (place / "r.yaml").write_text(recipe)
    return place


def whole_run(folder: Path, recipe: str = RECIPE) -> tuple[Path, float]:
    """A run that nothing happens to, and how long it took."""
    place = new_place(folder, "whole", recipe)
    begin = time.monotonic()
    assert ended(start(training(), place)) == 0, (place / "out.txt").read_text()
    return place / "run", time.monotonic() - begin


def files(run: Path) -> dict[str, bytes]:
    """All files of a run that are to be the same, by name."""
    return {
        str(file.relative_to(run)): file.read_bytes()
        for file in sorted(run.rglob("*"))
        if file.is_file() and file.relative_to(run).parts[0] not in NOT_COMPARED
    }


def differing(run: Path, whole: Path) -> list[str]:
    """The names of files that are not the same in two runs."""
    found, expected = files(run), files(whole)
    return sorted(n for n in found.keys() | expected.keys() if found.get(n) != expected.get(n))


def moments(count: int, longest: float, seed: int) -> list[float]:
    """Random moments in a run."""
    draw = random.Random(seed)
    return [draw.uniform(0, longest) for _ in range(count)]
