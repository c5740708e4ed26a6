"""The command that says why, on tiny runs."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from bpkd.inference.evaluation import evaluate
from tests.commands import done, refused
from tests.runs import TINY, run


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("analysis")
    (folder / "teacher.yaml").write_text(TINY)
    teacher = run(folder / "teacher.yaml", "teacher", "max_iters=1")
    (folder / "kd.yaml").write_text(
        f"{TINY}teacher: {teacher}\nlosses: {{kd: {{use: bpkd.losses.kd.KD}}}}\n"
    )
    seeds = [run(folder / "kd.yaml", f"kd-{s}", "max_iters=1", f"seed={s}") for s in (0, 1)]
    return [teacher, *seeds]


def test_tables_csv_and_figure(runs: list[Path], tmp_path: Path) -> None:
    out, table = tmp_path / "why.png", tmp_path / "why.csv"
    text = done("analyse", *runs, "--out", out, "--csv", table)
    for word in ("by distance to the outline", "agrees with its teacher", "ECE", "mistakes"):
        assert word in text
    assert out.stat().st_size > 10_000
    with table.open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert {row["run"] for row in rows} == {"teacher", "kd"}
    # What is wrong at all distances together is what the scores call wrong.
    own = [row for row in rows if row["run"] == "teacher" and row["table"] == "distance"]
    pixels = [float(row["value"]) for row in own if row["quantity"] == "pixels"]
    wrong = [float(row["value"]) for row in own if row["quantity"] == "wrong"]
    share = sum(p * w for p, w in zip(pixels, wrong, strict=True) if p) / sum(pixels) / 100
    scores = evaluate(runs[0], split="val", say=lambda _: None)
    assert share == pytest.approx(1 - scores["aAcc"], abs=1e-6)
    # Two seeds are added, and a run without a teacher has none of its numbers.
    both = [r for r in rows if (r["run"], r["quantity"]) == ("kd", "pixels")]
    assert sum(float(r["value"]) for r in both if r["table"] == "distance") == 2 * sum(pixels)
    assert not any("teacher" in r["quantity"] for r in own)


def test_a_teacher_that_is_gone(runs: list[Path], tmp_path: Path) -> None:
    gone = runs[0].rename(runs[0].with_name("elsewhere"))
    try:
        assert "without its teacher" in done("analyse", runs[1])
    finally:
        gone.rename(runs[0])


def test_mistakes(runs: list[Path], tmp_path: Path) -> None:
    assert "no run here" in refused("analyse", tmp_path)
    assert "no kind of picture" in refused("analyse", runs[0], "--out", tmp_path / "a.xyz")
