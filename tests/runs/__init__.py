"""Tiny runs for tests: a recipe, training it, a power cut in the middle."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

from bpkd import train
from bpkd.runs.recorder import Recorder

TINY = """
max_iters: 6
batch_size: 2
workers: 0
data: {use: bpkd.datasets.scenes.Scenes, size: [32, 48], count: 5}
augment: {crop: [32, 32]}
student:
  use: bpkd.networks.pspnet.PSPNet
  backbone: test_efficientnet.r160_in1k
  output_stride: 16
  channels: 8
  dropout: 0.5
evaluation: {every: 2}
schedule: {floor: 0.0}
"""


def run(recipe: Path, name: str, *overrides: str, **options: bool) -> Path:
    """Train into a folder of that name beside the recipe."""
    folder = recipe.parent / name
    return train(recipe, f"run={folder}", *overrides, **{"progress": False, **options})


def rows(file: Path) -> list[dict[str, str]]:
    """The lines of a CSV file."""
    with file.open(newline="") as stream:
        return list(csv.DictReader(stream))


class Kill(RuntimeError):
    """The power is cut."""


@contextmanager
def killed(iteration: int) -> Iterator[None]:
    """The run inside is cut off as that iteration ends, before anything of it is written."""
    before = Recorder.on_train_batch_end

    def die(self: Recorder, trainer: Any, *rest: Any) -> None:
        if trainer.global_step == iteration:
            raise Kill
        before(self, trainer, *rest)

    with patch.object(Recorder, "on_train_batch_end", die), pytest.raises(Kill):
        yield
