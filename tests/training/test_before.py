"""A run that was written before the rooms were: it evaluates, goes on and teaches as it did."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from bpkd import evaluate, train
from tests.runs import TINY, rows

#: Stopped at iteration 3 of 6 by version 0.1.0; the numbers are what that version got.
BEFORE = Path(__file__).parent / "before"


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy, where its recipe says that it is."""
    monkeypatch.chdir(tmp_path)
    return Path(shutil.copytree(BEFORE, "before"))


def test_it_evaluates(run: Path) -> None:
    assert evaluate(run, split="val")["mIoU"] == pytest.approx(0.052383611795451646)


def test_it_goes_on_to_the_numbers_that_it_would_have_had(run: Path) -> None:
    train(run / "recipe.yaml", resume=True, progress=False)
    last = rows(run / "metrics.csv")[-1]
    assert last["iteration"] == "6"
    assert float(last["mIoU"]) == pytest.approx(0.04531624208338288)
    assert evaluate(run, split="test")["mIoU"] == pytest.approx(0.06139264847322575)


def test_it_teaches(run: Path) -> None:
    Path("student.yaml").write_text(
        TINY + "teacher: before\nlosses: {bpkd: {use: bpkd.losses.bpkd.BPKD}}\n"
    )
    student = train("student.yaml", "max_iters=1", progress=False)
    assert float(rows(student / "training.csv")[0]["loss/bpkd.edge"]) > 0
    shutil.rmtree(student)
    mapped = "teacher={use: bpkd.teachers.from_run, run: before, class_map: {sky: sky}}"
    with pytest.raises(ValueError, match="class_map"):
        train("student.yaml", "max_iters=1", mapped, progress=False)
