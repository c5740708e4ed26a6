"""The paper's tables, filled with real if untrained runs."""

from __future__ import annotations

import csv
import re
import shutil
from pathlib import Path

import pytest

from bpkd import UserError, evaluate, train
from bpkd.report.paper import Line, table
from bpkd.report.paper_classes import by_class
from bpkd.report.paper_layout import pairs_and_methods
from bpkd.report.paper_numbers import LIST, read_numbers
from bpkd.report.paper_runs import finished_runs

PUBLISHED = read_numbers(LIST)[1]

RECIPE = """
max_iters: 0
data: {use: bpkd.datasets.scenes.Scenes, size: [32, 48], count: 2}
student:
  use: bpkd.networks.pspnet.PSPNet
  backbone: test_efficientnet.r160_in1k
  output_stride: 16
  channels: 8
"""


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seeds of one row, one of another, and one that was never finished."""
    folder = tmp_path_factory.mktemp("table2")
    (folder / "tiny.yaml").write_text(RECIPE)
    pair = folder / "cityscapes" / "pspnet"
    for name, seed in (("plain-0", 0), ("plain-1", 1), ("bpkd", 2), ("bpkd_published", 3)):
        train(folder / "tiny.yaml", f"seed={seed}", f"run={pair / name}", progress=False)
    (pair / "cwd").mkdir()
    return folder


def row(lines: list[Line], method: str) -> Line:
    return next(line for line in lines if (line.pair, line.method) == ("pspnet", method))


def test_published_numbers_alone() -> None:
    lines = table(None, PUBLISHED)
    assert len(lines) == 3 * 4 * 8
    assert all(line.published and not line.ours for line in lines)
    # Two numbers of the list, from its two ends.
    assert row(lines, "teacher").published == {"mIoU": 79.74, "mAcc": 86.56}
    assert lines[-2].published == {"mIoU": 47.25, "mAcc": 56.81}
    assert row(lines, "teacher").multiply_adds == 256.89


def test_runs_fill_their_rows_and_the_others_stay_open(runs: Path) -> None:
    lines = table(runs, PUBLISHED, ["cityscapes"])
    pair = runs / "cityscapes" / "pspnet"
    both = [100 * evaluate(pair / f"plain-{seed}")["mIoU"] for seed in (0, 1)]
    assert row(lines, "plain").ours["mIoU"] == both
    assert row(lines, "bpkd").ours["mIoU"] == [100 * evaluate(pair / "bpkd")["mIoU"]]
    assert row(lines, "cwd").ours == {}  # begun, not finished
    assert {line.pair for line in lines if line.ours} == {"pspnet"}


def test_a_method_is_not_taken_for_another_that_begins_alike(runs: Path) -> None:
    found = [run.name for run in finished_runs(runs, "cityscapes", "pspnet", "bpkd")]
    assert found == ["bpkd"]


def test_grids(runs: Path, tmp_path: Path) -> None:
    (grid,) = pairs_and_methods("2", runs, ["cityscapes"])
    plain = next(r for r in grid.rows if r[0] == "S: PSPNet-R18")
    assert plain[3] == "74.23" and "±" in plain[4]
    assert float(plain[5]) == pytest.approx(float(plain[4].split()[0]) - 74.23, abs=0.006)
    assert next(r for r in grid.rows if r[0] == "CWD")[4:6] == ["-", "-"]
    assert grid.markdown().count("\n| ") == 2 + 32
    # These runs are not what the recipes ask for, and each says so.
    assert len(grid.warnings) == 4 + 1
    assert grid.warnings[0].startswith(f"{runs / 'cityscapes/pspnet/plain-0'} differs from its")
    assert "max_iters 0 (40000)" in grid.warnings[0]
    assert "cwd is not finished" in grid.warnings[-1]
    grid.write_csv(tmp_path / "t.csv", [grid])
    records = list(csv.DictReader((tmp_path / "t.csv").open()))
    assert records[1]["runs"] == "2" and records[1]["mIoU_published"] == "74.23"


def test_a_folder_without_runs_says_where_it_looked(tmp_path: Path) -> None:
    grids = pairs_and_methods("80k", tmp_path, [])
    assert len(grids) == 3 and "ours at 80k" in grids[0].title
    (warning,) = grids[0].warnings
    assert f"looked for in {tmp_path / 'cityscapes' / 'pspnet' / 'teacher'}" in warning


def test_a_damaged_run_leaves_the_others_in_the_table(runs: Path, tmp_path: Path) -> None:
    shutil.copytree(runs / "cityscapes", tmp_path / "cityscapes")
    pair = tmp_path / "cityscapes" / "pspnet"
    (pair / "plain-0" / "student.safetensors").write_bytes(b"")
    (pair / "bpkd" / "evaluation_test.json").write_text('{"fing')  # is measured again
    (pair / "cwd_seed1").mkdir()
    (grid,) = pairs_and_methods("2", tmp_path, ["cityscapes"])
    ours = {row[0]: row[4] for row in grid.rows[:8]}
    assert "±" not in ours["S: PSPNet-R18"] and ours["S: PSPNet-R18"] != "-"
    assert ours["BPKD"] != "-"
    for found in (r"plain-0 is left out: .*safetensors", "cwd_seed1 is no row: expected METHOD"):
        assert any(re.search(found, warning) for warning in grid.warnings), found
    by_class_too = by_class(tmp_path, "cityscapes", "pspnet", 3)
    assert any("plain-0 is left out" in warning for warning in by_class_too.warnings)


def test_a_class_without_pixels_has_no_number(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scores = {"trimap_IoU@3": [float("nan")] + [0.5] * 9, "trimap_mIoU@3": 0.5}
    monkeypatch.setattr("bpkd.report.paper_classes.measured", lambda run, progress: scores)
    rows = by_class(runs, "cityscapes", "pspnet", 3).rows
    assert [row[1:] for row in (rows[0], rows[1])] == [["-"] * 3, ["50.0"] * 3]


def test_class_by_class(runs: Path) -> None:
    grid = by_class(runs, "cityscapes", "pspnet", 3)
    assert list(grid.header) == ["class", "plain", "bpkd", "bpkd_published"]
    assert [r[0] for r in grid.rows][0::10] == ["sky", "mean"]
    score = evaluate(runs / "cityscapes" / "pspnet" / "bpkd")
    assert grid.records[2]["bpkd"] == pytest.approx(100 * score["trimap_IoU@3"][2])


def test_a_run_of_other_classes_is_left_out_of_the_classes(runs: Path, tmp_path: Path) -> None:
    shutil.copytree(runs / "cityscapes", tmp_path / "cityscapes")
    run = tmp_path / "cityscapes" / "pspnet" / "bpkd"
    classes = (run / "classes.csv").read_text()
    (run / "classes.csv").write_text(classes.replace("sky", "heaven"))
    grid = by_class(tmp_path, "cityscapes", "pspnet", 3)
    assert list(grid.header) == ["class", "plain", "bpkd_published"]
    assert any("bpkd is left out: it has other classes" in line for line in grid.warnings)
    assert any("plain-0 differs from its row's recipe: max_iters 0" in w for w in grid.warnings)
    (run / "classes.csv").write_text("class\nsky\n")
    grid = by_class(tmp_path, "cityscapes", "pspnet", 3)
    assert any(re.search(r"bpkd is left out: .*classes.csv is dam", w) for w in grid.warnings)


def test_class_by_class_of_two_data_sets_in_one_spreadsheet(runs: Path, tmp_path: Path) -> None:
    """The methods that were run may differ from one to the other."""
    shutil.copytree(runs / "cityscapes" / "pspnet" / "bpkd", tmp_path / "ade20k" / "pspnet" / "cwd")
    grids = [by_class(runs, "cityscapes", "pspnet", 3), by_class(tmp_path, "ade20k", "pspnet", 3)]
    grids[0].write_csv(tmp_path / "t.csv", grids)
    records = list(csv.DictReader((tmp_path / "t.csv").open()))
    assert [r["data"] for r in (records[0], records[-1])] == ["cityscapes", "ade20k"]
    assert records[0]["cwd"] == "" and records[-1]["cwd"] == records[10]["bpkd"]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda runs: pairs_and_methods("7", runs, []), "'7' is no table of the paper"),
        (lambda runs: table(runs / "nowhere", {}), "is no folder"),
        (lambda runs: table(runs, {}, ["citycapes"]), "did you mean 'cityscapes'"),
        (lambda runs: by_class(runs, "ade20k", "pspnet", 3), "no finished run"),
        (lambda runs: by_class(runs, "ade", "pspnet", 3), "'ade' is no data set of the paper"),
        (lambda runs: by_class(runs, "ade20k", "pspnt", 3), "did you mean 'pspnet'"),
        (lambda runs: by_class(runs / "nowhere", "ade20k", "pspnet", 3), "is no folder"),
        (lambda runs: by_class(runs, "cityscapes", "pspnet", 4), "width 4; it has 1, 3, 5"),
        (lambda runs: by_class(None, "cityscapes", "pspnet", 3), "give --runs"),
    ],
)
def test_mistakes(runs: Path, call, message: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(UserError, match=message):
        call(runs)
