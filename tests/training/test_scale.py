"""One protocol on any number of devices: accumulation, processes of torchrun and SLURM."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from benchmarks import step, table2
from bpkd import UserError
from bpkd.datasets.scenes import Scenes
from bpkd.losses.cirkd_memory import CIRKDMemory
from bpkd.losses.holistic import Holistic
from bpkd.networks.base import SegOutput
from bpkd.recipe.loading import load_recipe
from bpkd.runs.recorder import Recorder
from bpkd.support.tensors import read_tensors
from bpkd.training.batches import effective_batch
from bpkd.training.trainer import build_trainer
from tests.runs import rows, run
from tests.training.test_processes import PROGRAM

TINY = """
max_iters: 3
batch_size: 2
workers: 0
data: {use: tests.training.test_scale.Labelled, size: [32, 32], count: 7}
augment: {crop: [32, 32], scale: [1, 1]}
student: {use: tests.training.test_scale.Plain}
optimizer: {lr: 0.1}
evaluation: {every: 3}
"""


class Labelled(Scenes):
    """Scenes without ignored pixels: a mean over pixels is the mean of its parts' means."""

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        image, labels = super().__getitem__(index)
        return image, labels.where(labels != 255, 0)


class Plain(nn.Module):
    """Two convolutions: nothing in it depends on the other images of a batch."""

    dropout = 0.0

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 6, 3, stride=2, padding=1)
        self.last = nn.Conv2d(6, num_classes, 1)

    def forward(self, images: Tensor) -> SegOutput:
        maps = nn.functional.dropout(self.first(images).relu(), self.dropout, self.training)
        return SegOutput(self.last(maps), {"head": maps})


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    file = tmp_path / "tiny.yaml"
    file.write_text(TINY)
    return file


def weights(folder: Path) -> dict[str, Tensor]:
    return read_tensors(folder / "student.safetensors")


# Accumulation -------------------------------------------------------------------------------------


def test_two_batches_of_two_make_one_of_four(recipe: Path) -> None:
    """The same images, the same step, the same schedule, validations and checkpoints."""
    joint = run(recipe, "joint", "batch_size=4")
    parts = run(recipe, "parts", "batch_size=2", "accumulate=2")
    half = run(recipe, "half", "batch_size=2")
    expected, found, other = weights(joint), weights(parts), weights(half)
    for key, value in expected.items():
        torch.testing.assert_close(found[key], value, rtol=1e-5, atol=1e-6)
        assert not torch.allclose(other[key], value, rtol=1e-3, atol=1e-4), key
    for file in ("metrics.csv", "training.csv"):
        assert [row["iteration"] for row in rows(parts / file)] == [
            row["iteration"] for row in rows(joint / file)
        ]
    assert [row["lr"] for row in rows(parts / "training.csv")] == [
        row["lr"] for row in rows(joint / "training.csv")
    ]
    saved = torch.load(parts / "last.ckpt", weights_only=True)
    assert saved["global_step"] == 3


def test_killed_between_parts_and_resumed(recipe: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    options = ["accumulate=3", "max_iters=4", "checkpoint_every=2", "evaluation.every=4"]
    monkeypatch.setattr(Plain, "dropout", 0.5)  # each part has its own random numbers
    whole = run(recipe, "whole", *options)
    before = Recorder.on_train_batch_end

    def die(
        self: Recorder, trainer: Any, module: Any, outputs: Any, batch: Any, index: int
    ) -> None:
        before(self, trainer, module, outputs, batch, index)
        if index == 7:  # the second part of the third iteration
            raise RuntimeError("power cut")

    with monkeypatch.context() as patch:
        patch.setattr(Recorder, "on_train_batch_end", die)
        with pytest.raises(RuntimeError, match="power cut"):
            run(recipe, "killed", *options)
    assert torch.load(recipe.parent / "killed/last.ckpt", weights_only=True)["global_step"] == 2
    resumed = run(recipe, "killed", *options, resume=True)
    for key, value in weights(whole).items():
        assert torch.equal(value, weights(resumed)[key]), key
    assert rows(whole / "metrics.csv") == rows(resumed / "metrics.csv")


def test_each_part_has_dropout_of_its_own(recipe: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    forward = Plain.forward

    def listen(self: Plain, images: Tensor) -> SegOutput:
        if self.training:
            seen.append(torch.initial_seed())
        return forward(self, images)

    monkeypatch.setattr(Plain, "forward", listen)
    run(recipe, "parts", "accumulate=2", "max_iters=2")
    run(recipe, "plain", "max_iters=4")
    assert len(set(seen[:4])) == 4
    assert seen[:4] == seen[4:]


def outputs(count: int, side: int = 64) -> tuple[SegOutput, SegOutput, Tensor]:
    generator = torch.Generator().manual_seed(0)

    def draw() -> Tensor:
        return torch.randn(count, 3, side, side, generator=generator)

    student, teacher = draw(), draw()
    labels = torch.randint(0, 3, (count, side, side), generator=generator)
    return SegOutput(student, {"head": student}), SegOutput(teacher, {"head": teacher}), labels


def part(output: SegOutput, where: slice) -> SegOutput:
    return SegOutput(output.logits[where], {k: v[where] for k, v in output.features.items()})


def test_a_discriminator_makes_one_step_of_the_mean_gradient() -> None:
    student, teacher, labels = outputs(4)
    torch.manual_seed(0)
    loss = Holistic(3, width=2, adversarial="hinge").eval()  # spectral norm stands still
    start = [p.clone() for p in loss.discriminator.parameters()]
    gradients = []
    for where in (slice(2), slice(2, 4)):
        terms = loss.discriminator.requires_grad_(True) and loss.discriminator_loss(
            part(student, where), part(teacher, where), labels[where]
        )
        total = 0.1 * terms["discriminator"]
        gradients.append(torch.autograd.grad(total, list(loss.discriminator.parameters())))
    loss.discriminator.requires_grad_(False)
    seen: list[Tensor] = []
    loss.optimizer.register_step_pre_hook(
        lambda optimizer, *_: seen.extend(
            p.grad.clone() for group in optimizer.param_groups for p in group["params"]
        )
    )
    loss.own_step(part(student, slice(2)), part(teacher, slice(2)), labels[:2], 0.5, last=False)
    assert not seen
    assert all(
        torch.equal(p, q) for p, q in zip(loss.discriminator.parameters(), start, strict=True)
    )
    loss.own_step(
        part(student, slice(2, 4)), part(teacher, slice(2, 4)), labels[2:], 0.5, last=True
    )
    for found, first, second in zip(seen, *gradients, strict=True):
        torch.testing.assert_close(found, (first + second) / 2)
    assert all(p.grad is None for p in loss.discriminator.parameters())  # the next step starts at 0


def test_a_discriminator_steps_once_an_iteration(
    recipe: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[tuple[float, bool]] = []

    def own_step(self: Holistic, *_: Any, share: float, last: bool) -> dict[str, Tensor]:
        calls.append((share, last))
        return {}

    monkeypatch.setattr(Holistic, "own_step", own_step)
    monkeypatch.setattr(
        Holistic, "forward", lambda self, student, *_: {"holistic": student.logits.sum() * 0}
    )
    options = ["teacher={use: tests.training.test_scale.Plain}", "max_iters=2", "accumulate=2"]
    run(recipe, "student", *options, "losses.adv={use: bpkd.losses.holistic.Holistic}")
    assert calls == [(0.5, False), (0.5, True)] * 2


def test_a_memory_holds_the_same_means_however_the_batch_is_cut() -> None:
    student, teacher, labels = outputs(4, side=8)
    memories = []
    for size in (4, 2):
        memory = CIRKDMemory(3, 3, 3, pixel_slots=90, region_slots=9)
        for first in range(0, 4, size):
            where = slice(first, first + size)
            memory(part(student, where), part(teacher, where), labels[where])
        memories.append(memory)
    joint, parts = memories
    assert torch.equal(joint.region_next, parts.region_next)
    assert torch.equal(joint.region_queue, parts.region_queue)
    assert torch.equal(joint.pixel_next, parts.pixel_next)  # which pixels is chance


# Devices ------------------------------------------------------------------------------------------


def test_effective_batch(recipe: Path) -> None:
    def shown(devices: int, *overrides: str) -> str:
        return effective_batch(load_recipe(recipe, overrides), devices)

    assert shown(1) == "2"
    assert shown(1, "accumulate=4") == "2 a step x 4 accumulated = 8"
    assert shown(8) == "2 a step x 8 devices = 16"
    assert shown(2, "accumulate=4") == "2 a step x 4 accumulated x 2 devices = 16"


def test_the_batch_is_printed_and_kept(recipe: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = run(recipe, "run", "accumulate=2", "max_iters=1", progress=True)
    assert "batch: 2 a step x 2 accumulated = 4\n" in capsys.readouterr().out
    known = json.loads((folder / "environment.json").read_text())
    assert known["batch"] == "2 a step x 2 accumulated = 4"
    assert known["torch"] == torch.__version__


@pytest.mark.parametrize(
    ("gpu", "asked", "given"), [(True, True, True), (True, False, False), (False, True, False)]
)
def test_batch_norm_is_synchronised_on_gpus_unless_refused(
    recipe: Path, monkeypatch: pytest.MonkeyPatch, gpu: bool, asked: bool, given: bool
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpu)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda *_: False)
    monkeypatch.setattr("bpkd.training.trainer.lightning.Trainer", lambda **arguments: arguments)
    loaded = load_recipe(recipe, [f"sync_batchnorm={str(asked).lower()}", "accumulate=4"])
    arguments: Any = build_trainer(loaded, Recorder(recipe.parent, []), True, False)
    assert bool(arguments["plugins"]) is given
    assert arguments["val_check_interval"] == 3 * 4
    assert arguments["max_steps"] == 3


def test_a_run_of_an_older_recipe_goes_on(recipe: Path) -> None:
    """What the schema learned since is no difference, where it stands at its default."""
    folder = run(recipe, "run", "max_iters=1")
    old = [
        line
        for line in (folder / "recipe.yaml").read_text().splitlines()
        if not line.strip().startswith(("accumulate:", "sync_batchnorm:", "base_size:"))
    ]
    (folder / "recipe.yaml").write_text("\n".join(old))
    assert run(recipe, "run", "max_iters=1", resume=True) == folder
    with pytest.raises(UserError, match="the run began with accumulate: 1, the recipe now says 2"):
        run(recipe, "run", "max_iters=1", "accumulate=2", resume=True)


# Cost ---------------------------------------------------------------------------------------------


def test_the_parts_of_a_step(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(step.PAIRS, "tiny", ("hrnet_w18s", "hrnet_w18s"))
    options = "--size 32 32 --repeat 1 --device cpu --classes 3"
    monkeypatch.setattr(sys, "argv", ["step", "tiny", "bpkd", *options.split(" ")])
    step.main()
    lines = capsys.readouterr().out.splitlines()[1:]
    known = {line[:16].strip(): float(line[16:].split()[0]) for line in lines}
    parts = ["student forward", "teacher forward", "loss", "backward", "optimizer"]
    assert list(known) == [*parts, "step", "images a second", "peak memory"]
    assert known["step"] == pytest.approx(sum(known[part] for part in parts), abs=0.5)
    assert known["images a second"] == pytest.approx(2000 / known["step"], rel=0.01, abs=0.01)
    assert all(value > 0 for value in known.values())


def test_the_cost_of_table_2(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(table2, "PAIRS", {"hrnet": ("hrnet_w48", "hrnet_w18s")})
    monkeypatch.setattr(table2, "DATA", {"ade20k": 150})
    table2.table2(throughput=1)
    cells = [float(cell) for cell in capsys.readouterr().out.splitlines()[-1].split("|")[3:-1]]
    assert cells.pop(0) == 16
    # The paper's 10.49 and 95.64 G; 16 images, three times the student's, once the teacher's.
    assert cells[:2] == [10.49, 95.64]
    assert cells[2] == pytest.approx(16 * 3 * 10.49 / 1000, abs=0.006)
    assert cells[3] == pytest.approx(16 * (3 * 10.49 + 95.64) / 1000, abs=0.006)
    assert cells[5] == pytest.approx(cells[3] * 40, rel=0.01)  # 40,000 iterations
    assert cells[7] == pytest.approx(cells[3] * 40_000 / 3600, rel=0.01)


# What the launcher of torchrun, and srun, set for one process of two machines.
def torchrun(rank: int, port: int) -> dict[str, str]:
    return {
        "TORCHELASTIC_RUN_ID": "1",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "WORLD_SIZE": "2",
        "LOCAL_WORLD_SIZE": "1",
        "RANK": str(rank),
        "GROUP_RANK": str(rank),
        "LOCAL_RANK": "0",
    }


def slurm(rank: int, port: int) -> dict[str, str]:
    return {
        "SLURM_JOB_ID": "7",
        "SLURM_JOB_NAME": "bpkd",
        "SLURM_NTASKS": "2",
        "SLURM_NTASKS_PER_NODE": "1",
        "SLURM_NNODES": "2",
        "SLURM_NODELIST": "127.0.0.1",
        "SLURM_PROCID": str(rank),
        "SLURM_NODEID": str(rank),
        "SLURM_LOCALID": "0",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
    }


@pytest.mark.slow
@pytest.mark.parametrize("launcher", [torchrun, slurm])
def test_two_machines_of_one_process_each(recipe: Path, launcher: Any) -> None:
    """Two processes of two images are one of four, and only the first one writes."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    folder = recipe.parent
    (folder / "program.py").write_text(PROGRAM)
    root = Path(__file__).parents[2]
    started = [
        subprocess.Popen(
            [sys.executable, "program.py", "train", "tiny.yaml", "nodes=2", "devices=1"],
            cwd=folder,
            env=os.environ
            | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(root)}
            | launcher(rank, port),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in (0, 1)
    ]
    told = [process.communicate(timeout=280) for process in started]
    assert [process.returncode for process in started] == [0, 0], told
    assert "batch: 2 a step x 2 devices = 4" in told[0][0]
    assert "batch:" not in told[1][0]
    found = weights(folder / "runs/tiny")
    for key, value in weights(run(recipe, "joint", "batch_size=4")).items():
        torch.testing.assert_close(found[key], value, rtol=1e-5, atol=1e-6)
