"""Two processes on the CPU: the same run, and the same metrics as one."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from timm.layers import BatchNormAct2d
from torch import nn

from bpkd import evaluate
from bpkd.metrics.measures import scalars
from bpkd.recipe.loading import load_recipe
from bpkd.training.processes import SyncBatchNorm, strategy
from tests.runs import TINY

# Lightning starts the second process with the command of the first, so it has to be a file.
PROGRAM = "from bpkd.cli import main\n\nif __name__ == '__main__':\n    main()\n"

# The same, but each process leaves behind what it has after each iteration.
STATES = """
import torch
from bpkd.training.distiller import Distiller

def save(self, *rest):
    state = {"state": self.state_dict(), "terms": self.shown}
    torch.save(state, f"process{self.global_rank}.{self.global_step}.pt")

Distiller.on_train_batch_end = save
"""


def bpkd(folder: Path, *arguments: str, before: str = "") -> subprocess.CompletedProcess[str]:
    (folder / "program.py").write_text(before + PROGRAM)
    return subprocess.run(
        [sys.executable, "program.py", *arguments],
        cwd=folder,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_two_processes_give_the_metrics_of_one(tmp_path: Path) -> None:
    (tmp_path / "tiny.yaml").write_text(TINY)
    options = ["devices=2", "max_iters=2", "data.count=3", "--quiet"]
    ended = bpkd(tmp_path, "train", "tiny.yaml", *options)
    assert ended.returncode == 0, ended.stderr
    run = tmp_path / "runs/tiny"
    with (run / "metrics.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["iteration"] for row in rows] == ["2"]
    # Of three images, one process had two and the other one.
    whole = scalars(evaluate(run, "devices=1", split="val"))
    for name in whole.keys() - {"parameters", "milliseconds"}:
        assert float(rows[0][name]) == pytest.approx(whole[name], abs=1e-6), name


CIRKD_AND_SKDS = """
base: tiny.yaml
student: {use: bpkd.networks.deeplabv3plus.DeepLabV3Plus, auxiliary: false}
augment: {crop: [256, 256]}
max_iters: 3
data: {val: null}
teacher: {use: bpkd.networks.pspnet.PSPNet, backbone: test_efficientnet.r160_in1k, channels: 12}
losses:
  kd: {use: bpkd.losses.kd.KD}
  mini_batch: {use: bpkd.losses.cirkd.CIRKDMiniBatch, across_processes: true, pool: 8}
  memory: {use: bpkd.losses.cirkd_memory.CIRKDMemory, pixel_slots: 40, region_slots: 8}
  pair_wise: {use: bpkd.losses.skds.PairWise}
  holistic: {use: bpkd.losses.holistic.Holistic, width: 2}
  late: {use: bpkd.losses.fitnet.FitNet, from: 1, until: 2}
"""


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_two_processes_stay_in_step(tmp_path: Path) -> None:
    """Other images, and yet one student, one memory, one discriminator; a loss that rests too."""
    (tmp_path / "tiny.yaml").write_text(TINY)
    (tmp_path / "taught.yaml").write_text(CIRKD_AND_SKDS)
    options = ["batch_size=2", "devices=2", "--quiet"]
    ended = bpkd(tmp_path, "train", "taught.yaml", *options, before=STATES)
    assert ended.returncode == 0, ended.stderr
    start: dict[str, torch.Tensor] = {}
    for iteration in (1, 2, 3):
        first, second = (torch.load(tmp_path / f"process{rank}.{iteration}.pt") for rank in (0, 1))
        assert first["terms"]["loss/segmentation"] != second["terms"]["loss/segmentation"]
        assert ("loss/late.fitnet" in first["terms"]) == (iteration == 2)
        moved = set()
        for key, value in first["state"].items():
            # Batch statistics are each process's own until the next step takes the first one's.
            if "running_" in key or not isinstance(value, torch.Tensor):
                continue
            assert torch.equal(value, second["state"][key]), key
            if key in start and not torch.equal(value, start[key]):
                moved.add(key)
        start = first["state"]
        parts = ("student.", "memory.pixel_queue", "memory.head", "holistic.discriminator")
        for part in (*parts, "late.regressor") if iteration == 2 else ():
            assert any(part in key for key in moved), part
        assert iteration != 3 or not any("late.regressor" in key for key in moved)
    saved = torch.load(tmp_path / "runs/taught/last.ckpt", weights_only=True)["state_dict"]
    assert torch.equal(saved["losses.memory.pixel_queue"], start["losses.memory.pixel_queue"])


def test_one_process_needs_no_strategy_and_only_resting_losses_are_looked_for(
    tmp_path: Path,
) -> None:
    (tmp_path / "tiny.yaml").write_text(TINY)
    (tmp_path / "taught.yaml").write_text(CIRKD_AND_SKDS)
    assert strategy(load_recipe(tmp_path / "taught.yaml", ["devices=1"])) == "auto"
    resting = strategy(load_recipe(tmp_path / "taught.yaml", ["nodes=2", "devices=1"]))
    steady = strategy(load_recipe(tmp_path / "tiny.yaml", ["devices=2"]))
    assert resting._ddp_kwargs["find_unused_parameters"] is True  # type: ignore[union-attr]
    assert steady._ddp_kwargs["find_unused_parameters"] is False  # type: ignore[union-attr]


def test_synchronised_layers_keep_their_activation() -> None:
    """Lightning's own conversion makes a plain normalisation of timm's layer with a ReLU."""
    model = nn.Sequential(BatchNormAct2d(3), nn.BatchNorm2d(3)).eval()
    images = torch.randn(1, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    expected = model(images)
    keys = model.state_dict().keys()
    converted = SyncBatchNorm().apply(model)
    assert all(isinstance(layer, nn.SyncBatchNorm) for layer in converted)
    torch.testing.assert_close(converted.eval()(images), expected)
    assert converted.state_dict().keys() == keys
    assert SyncBatchNorm().revert(converted) is converted
