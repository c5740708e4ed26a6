"""``compile: true``: the same student, and a machine that cannot is no reason to stop."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from bpkd.runs.loading import load
from bpkd.support.tensors import read_tensors
from tests.runs import rows, run
from tests.training.teacher_cache.test_runs import TAUGHT, same


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    (tmp_path / "taught.yaml").write_text(TAUGHT)
    return tmp_path / "taught.yaml"


def test_without_a_compiler_the_run_goes_on(
    recipe: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    eager = run(recipe, "eager")

    def fails(*_: object, **__: object) -> None:
        raise RuntimeError("No working C++ compiler found\n  in PATH")

    monkeypatch.setattr(torch, "compile", fails)
    assert same(eager, run(recipe, "compiled", "compile=true"))
    told = capsys.readouterr().err
    assert "compile: nothing can be compiled here (No working C++ compiler found); the" in told


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_compiled_and_not_are_one_student(recipe: Path) -> None:
    eager, compiled = run(recipe, "eager"), run(recipe, "compiled", "compile=true")
    first, second = (read_tensors(folder / "student.safetensors") for folder in (eager, compiled))
    assert first.keys() == second.keys()
    for key, value in first.items():
        torch.testing.assert_close(second[key], value, rtol=1e-4, atol=1e-5)
    losses = [float(rows(folder / "training.csv")[0]["loss"]) for folder in (eager, compiled)]
    assert losses[1] == pytest.approx(losses[0], rel=1e-5)
    assert load(compiled)(torch.rand(1, 3, 32, 32)).logits.shape == (1, 10, 16, 16)
