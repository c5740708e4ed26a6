"""Whole runs on a cache: cold and warm alike, resumed, cut otherwise, on a full disk."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import pytest
import torch
from torch import Tensor, nn

from bpkd import UserError, train
from bpkd.datasets.building import build_data
from bpkd.datasets.scenes import Scenes
from bpkd.networks.base import SegOutput
from bpkd.recipe.loading import load_recipe
from bpkd.support.tensors import read_tensors
from bpkd.training.distiller import Distiller
from bpkd.training.teacher_cache.fingerprint import facts, name_of
from bpkd.training.teacher_cache.folders import caches
from bpkd.training.teacher_cache.opening import open_cache
from bpkd.training.teacher_cache.records import Records
from bpkd.training.teachers import build_teacher
from tests.runs import killed, rows, run
from tests.training.test_processes import PROGRAM

TAUGHT = """
max_iters: 4
batch_size: 2
workers: 0
data: {use: bpkd.datasets.scenes.Scenes, size: [32, 48], count: 5, val: null}
augment: {crop: [32, 32]}
student: {use: tests.training.teacher_cache.test_runs.Small}
teacher: {use: tests.training.teacher_cache.test_runs.Small, width: 5}
losses:
  bpkd: {use: bpkd.losses.bpkd.BPKD}
  at: {use: bpkd.losses.at.AT, weight: 1}
optimizer: {lr: 0.1}
"""


class Small(nn.Module):
    """Two convolutions; each image's outputs are its own."""

    def __init__(self, num_classes: int, width: int = 4) -> None:
        super().__init__()
        torch.manual_seed(width)
        self.first = nn.Conv2d(3, width, 3, stride=2, padding=1)
        self.last = nn.Conv2d(width, num_classes, 1)

    def forward(self, images: Tensor) -> SegOutput:
        head = self.first(images).relu()
        return SegOutput(self.last(head), {"head": head, "other": head + 1})


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    (tmp_path / "taught.yaml").write_text(f"{TAUGHT}teacher_cache: {tmp_path / 'cache'}\n")
    return tmp_path / "taught.yaml"


def same(one: Path, other: Path) -> bool:
    """Whether two runs are equal to the last bit: weights, and every loss of every row."""
    first, second = (read_tensors(folder / "student.safetensors") for folder in (one, other))
    weights = all(torch.equal(first[key], second[key]) for key in first)
    return weights and rows(one / "training.csv") == rows(other / "training.csv")


@contextmanager
def no_teacher() -> Iterator[None]:
    """Whoever asks the teacher inside fails."""
    with patch.object(Distiller, "ask_teacher", side_effect=AssertionError("was asked")):
        yield


def held(recipe: Path) -> dict[str, int]:
    (cache,) = caches(recipe.parent / "cache", thorough=True)
    assert not cache.torn
    return cache.tensors


# Cold and warm ------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_warm_equals_cold(recipe: Path, dtype: str) -> None:
    given = f"teacher_cache.dtype={dtype}"
    cold = run(recipe, "cold", given)
    assert held(recipe) == {"features.head": 8, "logits": 8}  # and not features.other
    with no_teacher():
        warm = run(recipe, "warm", given)
    assert same(cold, warm)
    plain = run(recipe, "plain", "teacher_cache=null")
    assert same(plain, cold) is (dtype == "float32")


def test_another_student_method_and_seed_read_the_same(recipe: Path) -> None:
    run(recipe, "cold", "draws=0")
    with no_teacher():
        run(
            recipe, "other", "draws=0", "seed=3", "student.width=6", "losses.at=null",
            "losses.cwd={use: bpkd.losses.cwd.CWD}", "max_iters=3",
        )  # fmt: skip


def test_a_loss_that_asks_for_more_adds_it(recipe: Path) -> None:
    run(recipe, "cold", "losses.at=null")
    assert held(recipe) == {"logits": 8}
    run(recipe, "both")
    assert held(recipe) == {"features.head": 8, "logits": 8}
    run(recipe, "longer", "max_iters=6")
    assert held(recipe) == {"features.head": 12, "logits": 12}


def test_top_k_of_all_classes_is_all_and_of_fewer_is_near(recipe: Path) -> None:
    def loss(name: str, *changes: str) -> float:
        folder = run(recipe, name, "losses.at=null", "max_iters=1", *changes)
        return float(rows(folder / "training.csv")[0]["loss/bpkd.edge"])

    whole = loss("whole")
    assert loss("ten", "teacher_cache.top_k=10") == whole
    assert loss("five", "teacher_cache.top_k=5") == pytest.approx(whole, rel=0.2)


# However the batches are cut ----------------------------------------------------------------------


def test_a_run_that_goes_on_equals_one_that_never_stopped(recipe: Path) -> None:
    whole = run(recipe, "whole", "checkpoint_every=1")
    for cached in ("cache", "empty"):  # the first run's records, and none
        folder = f"teacher_cache.folder={recipe.parent / cached}"
        with killed(3):
            run(recipe, cached + "-run", "checkpoint_every=1", folder)
        again = run(recipe, cached + "-run", "checkpoint_every=1", folder, resume=True)
        first, second = (read_tensors(it / "student.safetensors") for it in (whole, again))
        assert all(torch.equal(first[key], second[key]) for key in first)


def test_a_resumed_run_may_move_its_cache_and_not_change_it(recipe: Path) -> None:
    with killed(3):
        run(recipe, "run", "checkpoint_every=1")
    with pytest.raises(UserError, match="the run began with teacher_cache"):
        run(recipe, "run", "checkpoint_every=1", "teacher_cache.dtype=bfloat16", resume=True)
    moved = (recipe.parent / "cache").rename(recipe.parent / "moved")
    run(recipe, "run", "checkpoint_every=1", f"teacher_cache={moved}", resume=True)


@pytest.mark.parametrize("cut", [["batch_size=4", "max_iters=2"], ["batch_size=1", "accumulate=2"]])
def test_other_cuts_of_the_batches_read_the_same(recipe: Path, cut: list[str]) -> None:
    run(recipe, "cold")
    with no_teacher():
        run(recipe, "cut", *cut)


def test_two_processes_read_what_one_wrote(recipe: Path) -> None:
    run(recipe, "one", "batch_size=4", "max_iters=2")
    files = sorted((recipe.parent / "cache").glob("*/*.records"))
    before = [(file.stat().st_mtime_ns, file.stat().st_size) for file in files]
    (recipe.parent / "program.py").write_text(PROGRAM)
    ended = subprocess.run(
        [sys.executable, "program.py", "train", "taught.yaml", "devices=2", "max_iters=2"],
        cwd=recipe.parent,
        env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert "4 draws were read, for 0 the teacher was asked" in ended.stdout
    assert [(file.stat().st_mtime_ns, file.stat().st_size) for file in files] == before


# What goes wrong ----------------------------------------------------------------------------------


def test_torn_records_are_computed_again(recipe: Path) -> None:
    cold = run(recipe, "cold")
    for file in (recipe.parent / "cache").glob("*/*.records"):
        os.truncate(file, file.stat().st_size - 100)
        with file.open("r+b") as stream:
            stream.seek(5000)
            stream.write(b"?????")
    assert same(cold, run(recipe, "again"))
    assert held(recipe) == {"features.head": 8, "logits": 8}


def test_a_full_disk_ends_the_cache_and_not_the_run(
    recipe: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    cold = run(recipe, "cold", f"teacher_cache.folder={recipe.parent / 'elsewhere'}")
    write = Records.write

    def full(self: Records, number: int, seen: int, content: bytes) -> None:
        if number >= 3:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        write(self, number, seen, content)

    monkeypatch.setattr(Records, "write", full)
    assert same(cold, run(recipe, "run"))
    told = capsys.readouterr().err
    assert told.count("nothing more is written there, No space left on device; the run goes") == 1


def test_what_does_not_fit_is_said_before_the_run_begins(
    recipe: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bpkd.training.teacher_cache.opening.RESERVE", 2**62)
    with pytest.raises(UserError, match=r"8 draws take .* set teacher_cache.limit to the GB"):
        run(recipe, "run")
    assert not (recipe.parent / "run").exists()
    run(recipe, "run", "teacher_cache.limit=1")


def test_the_size_is_said(recipe: Path, capsys: pytest.CaptureFixture[str]) -> None:
    train(recipe, f"run={recipe.parent / 'run'}", "max_iters=1", progress=True)
    told = capsys.readouterr().out
    # 10 classes and 5 channels of 16x16 pixels, two bytes each, 20 bytes before each record.
    assert "7.72 kB a draw (logits 10x16x16, features.head 5x16x16, float16), 2 draws" in told
    assert "0 draws were read, for 2 the teacher was asked" in told


# Never a wrong hit --------------------------------------------------------------------------------


def name(recipe: Path, *changes: str, precision: str = "32-true") -> str:
    loaded = load_recipe(recipe, changes)
    data = build_data(loaded, "train")
    teacher = build_teacher(loaded, data.classes)
    assert teacher is not None
    return name_of(facts(loaded, data, teacher, precision))


OTHERS = [
    "teacher.width=6",
    "draws=1",
    "seed=1",
    "augment.crop=[32,40]",
    "augment.flip=0",
    "data.count=6",
    "data.train=val",
    "teacher={use: tests.training.teacher_cache.test_runs.Small, width: 5, num_classes: 10,"
    " class_map: [1,0,2,3,4,5,6,7,8,9]}",
    "teacher_cache.dtype=bfloat16",
    "teacher_cache.top_k=3",
]
ALIKE = [
    "student.width=9",
    "losses.at=null",
    "batch_size=3",
    "accumulate=2",
    "max_iters=9",
    "optimizer.lr=1",
    "data.val=val",
    "teacher_cache.limit=3",
]


def test_what_decides_the_outputs_decides_the_folder(recipe: Path) -> None:
    own = name(recipe)
    names = {change: name(recipe, change) for change in OTHERS} | {"": own}
    assert name(recipe, "seed=1", "draws=0") == own
    # Draws follow the seed unless they have their own.
    assert names.pop("seed=1") == names["draws=1"]
    assert len(set(names.values())) == len(names)
    assert name(recipe, precision="bf16-mixed") != own
    assert {name(recipe, change) for change in ALIKE} == {own}


def test_another_checkpoint_of_the_same_teacher_has_its_own(recipe: Path) -> None:
    own = name(recipe)
    weights = Small(10, 5).state_dict()
    weights["last.bias"][0] += 1e-6
    torch.save(weights, recipe.parent / "other.pt")
    assert name(recipe, f"teacher.checkpoint={recipe.parent / 'other.pt'}") != own
    torch.save(Small(10, 5).state_dict(), recipe.parent / "same.pt")
    assert name(recipe, f"teacher.checkpoint={recipe.parent / 'same.pt'}") == own


class Changing(Scenes):
    """Scenes that somebody paints over between two runs, file names and sizes unchanged."""

    shift = 0

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        image, labels = super().__getitem__(index)
        return (image + self.shift).to(image.dtype), labels


def test_images_that_changed_are_not_served(recipe: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use = "data.use=tests.training.teacher_cache.test_runs.Changing"
    monkeypatch.setattr(Changing, "shift", 0)
    run(recipe, "cold", use)
    monkeypatch.setattr(Changing, "shift", 1)
    fresh = run(recipe, "fresh", use, f"teacher_cache={recipe.parent / 'fresh-cache'}")
    assert same(fresh, run(recipe, "after", use))


def test_images_of_many_sizes_are_refused_before_the_run_begins(recipe: Path) -> None:
    loaded = load_recipe(recipe)
    loaded.augment.crop = None  # type: ignore[assignment]  # as recipes of instances may have it
    parts: Any = SimpleNamespace(distiller=SimpleNamespace(teacher=Small(10)), drawn=None)
    with pytest.raises(UserError, match=r"one size; give augment\.crop"):
        open_cache(loaded, parts, None, aloud=False)  # type: ignore[arg-type]
