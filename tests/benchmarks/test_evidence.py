"""The grid's runner on runs of two iterations."""

from __future__ import annotations

import csv
from pathlib import Path
from unittest.mock import patch

import pytest
import yaml

from benchmarks import evidence
from bpkd.recipe.loading import load_recipe
from tests.runs import TINY


def test_every_cell_of_the_grid_is_a_recipe() -> None:
    for name in yaml.safe_load(evidence.GRID.read_text()):
        study = evidence.study_of(name)
        seen = set()
        for cell in evidence.cells(name, study, Path("runs")):
            if cell.seed == study["seeds"][0]:
                load_recipe(cell.recipe, cell.overrides)
            seen.add(cell.folder)
        assert len(seen) == len(study["seeds"]) * len(study["regimes"]) * len(study["methods"])
        assert study["baseline"] in study["methods"]


def test_a_study_from_the_grid_to_its_tables(tmp_path: Path) -> None:
    tiny = tmp_path / "tiny.yaml"
    tiny.write_text(TINY)
    kd = "losses={kd: {use: bpkd.losses.kd.KD}}"
    study = {
        "baseline": "plain",
        "seeds": [0, 1],
        "teacher": str(tiny),
        "regimes": {"short": ["max_iters=2"]},
        "methods": {"plain": [str(tiny)], "kd": [str(tiny), kd]},
    }
    grid, runs, out = tmp_path / "grid.yaml", tmp_path / "runs", tmp_path / "results"
    grid.write_text(yaml.safe_dump({"small": study}, sort_keys=False))
    given = ["small", "--grid", str(grid), "--runs", str(runs)]
    with pytest.raises(evidence.UserError, match="part 0 trains it"):
        evidence.main(["run", *given, "--part", "1/2"])
    evidence.main(["run", *given, "--part", "0/2"])
    evidence.main(["run", *given, "--part", "1/2"])
    with patch.object(evidence, "train") as train:  # all of it is finished
        evidence.main(["run", *given])
    assert not train.called
    evidence.main(["table", *given, "--out", str(out)])
    rows = list(csv.DictReader((out / "small.csv").open()))
    assert [(r["method"], r["seed"]) for r in rows] == [
        (method, seed) for seed in "01" for method in ("plain", "kd")
    ]
    gains = list(csv.DictReader((out / "small_paired.csv").open()))
    assert {(g["regime"], g["method"], g["seeds"]) for g in gains} == {("short", "kd", "2")}
    points = [float(r["mIoU"]) * 100 for r in rows]
    assert float(gains[0]["points"]) == pytest.approx(
        (points[1] - points[0] + points[3] - points[2]) / 2
    )
    assert (out / "small.png").stat().st_size > 5000
