"""What each term pulls, beside the student's own loss."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
import torch

from bpkd import train
from bpkd.training.pulls import pulls
from tests.runs import TINY


def test_gradients_are_taken_where_the_own_loss_looks() -> None:
    logits = torch.tensor([3.0, 4.0], requires_grad=True)
    features = torch.ones(2, requires_grad=True)
    own = 2 * logits.sum()  # of norm 2 √2
    terms = {"a": logits.square().sum() / 2, "b": features.sum() + 0 * logits.sum()}
    terms |= {"c": features.sum(), "d": torch.zeros(())}
    found = pulls(own, terms, {"logits": logits, "features": [features, None]})
    assert found["a"].item() == pytest.approx(5 / 8**0.5)
    assert [found[name].item() for name in "bcd"] == [0, 0, 0]


def test_a_run_writes_them_beside_its_losses_and_learns_the_same(tmp_path: Path) -> None:
    recipe = tmp_path / "tiny.yaml"
    recipe.write_text(TINY)
    train(str(recipe), f"run={tmp_path / 'teacher'}", progress=False)
    kd = ["losses={kd: {use: bpkd.losses.kd.KD, weight: 2}}", f"teacher={tmp_path / 'teacher'}"]
    rows = []
    for name, pulled in (("without", False), ("with", True)):
        given = [*kd, "max_iters=20", f"run={tmp_path / name}", f"log_pulls={str(pulled).lower()}"]
        train(str(recipe), *given, progress=False)
        rows.append(list(csv.DictReader((tmp_path / name / "training.csv").open())))
    assert [float(row["pull/kd.kd"]) > 0 for row in rows[1]] == [True] * 3
    assert [{k: v for k, v in row.items() if not k.startswith("pull")} for row in rows[1]] == rows[
        0
    ]
