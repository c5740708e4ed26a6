"""Loggers that a recipe names, offline; what is not installed is said in one line."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from bpkd.errors import UserError
from tests.commands import refused
from tests.runs import rows, run


def files(folder: Path, pattern: str) -> list[Path]:
    return [file for file in folder.rglob(pattern) if file.is_file()]


def test_without_a_word_it_is_tensorboard_where_it_is_installed(recipe: Path) -> None:
    pytest.importorskip("tensorboard")
    folder = run(recipe, "run", "max_iters=2")
    assert files(folder, "events.out.tfevents.*")
    assert not {"csv", "wandb", "mlruns"} & {path.name for path in folder.iterdir()}


def test_none_at_all(recipe: Path) -> None:
    folder = run(recipe, "run", "max_iters=2", "loggers=[]")
    assert not (folder / "tensorboard").exists()
    assert rows(folder / "training.csv") and rows(folder / "metrics.csv")


def test_csv(recipe: Path) -> None:
    folder = run(recipe, "run", "loggers=[csv]")
    table = rows(folder / "csv/metrics.csv")
    own = {row["iteration"]: row["mIoU"] for row in rows(folder / "metrics.csv")}
    theirs = [float(row["val/mIoU"]) for row in table if row.get("val/mIoU")]
    assert theirs == pytest.approx([float(value) for value in own.values()])
    assert "max_iters: 6" in (folder / "csv/hparams.yaml").read_text()
    # Where numbers go does not make another run of it.
    assert run(recipe, "run", "loggers=[]", resume=True) == folder


def test_wandb_offline(recipe: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wandb = pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    folder = run(recipe, "run", "max_iters=2", "loggers=[wandb]")
    assert wandb.run is None  # it was ended with the training
    (kept,) = files(folder / "wandb", "*.wandb")
    content = kept.read_bytes()
    assert b"val/mIoU" in content and b"max_iters" in content


def test_mlflow_without_a_server(recipe: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mlflow = pytest.importorskip("mlflow")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    folder = run(recipe, "run", "max_iters=2", "loggers=[mlflow, mlflow]")
    client = mlflow.tracking.MlflowClient(f"sqlite:///{folder / 'mlflow.db'}")
    (experiment,) = [e for e in client.search_experiments() if e.name == "bpkd"]
    (kept,) = client.search_runs([experiment.experiment_id])
    assert kept.info.run_name == "tiny"
    assert kept.data.params["max_iters"] == "2"
    score = float(rows(folder / "metrics.csv")[-1]["mIoU"])
    assert kept.data.metrics["val/mIoU"] == pytest.approx(score)


def test_a_missing_one_is_one_line(recipe: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(UserError, match=r"loggers: wandb needs wandb: pip install 'bpkd\[wandb\]'"):
        run(recipe, "run", "loggers=[wandb]")
    assert os.listdir(recipe.parent) == [recipe.name]


def test_an_unknown_one_is_refused(recipe: Path) -> None:
    line = refused("train", recipe, "loggers=[comet]")
    assert "loggers" in line and "comet" in line and "wandb" in line
