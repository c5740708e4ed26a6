"""The paper's tables, filled with real if untrained runs."""

from __future__ import annotations

import csv
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from bpkd import UserError, evaluate, train
from bpkd.report.paper import Line, table
from bpkd.report.paper_instances import instances
from bpkd.report.paper_layout import pairs_and_methods
from bpkd.report.paper_numbers import TABLES, read_numbers
from bpkd.report.paper_runs import finished_runs
from bpkd.report.paper_trimap import by_class
from tests.pictures import save

TABLE_2 = TABLES["2"]
PUBLISHED = read_numbers(TABLE_2.file)[1]

RECIPE = """
max_iters: 0
data: {use: bpkd.datasets.cityscapes.Cityscapes, root: ROOT, test: val}
student:
  use: bpkd.networks.pspnet.PSPNet
  backbone: test_efficientnet.r160_in1k
  output_stride: 16
  channels: 8
"""
SCENES = "data={use: bpkd.datasets.scenes.Scenes, size: [32, 48], count: 2}"


def cityscapes(root: Path) -> Path:
    """Two images of squares in Cityscapes' layout."""
    draw = np.random.default_rng(0)
    for split in ("train", "val"):
        for index in range(2):
            name = f"{split}/aachen/aachen_00000{index}_000019"
            labels = np.kron(draw.integers(0, 19, (4, 6)), np.ones((8, 8)))
            save(root / f"gtFine/{name}_gtFine_labelTrainIds.png", labels)
            save(root / f"leftImg8bit/{name}_leftImg8bit.png", np.stack([labels * 13] * 3, axis=2))
    return root


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seeds of one row, two others, and one that was never finished."""
    folder = tmp_path_factory.mktemp("table2")
    data = cityscapes(tmp_path_factory.mktemp("cityscapes"))
    (folder / "tiny.yaml").write_text(RECIPE.replace("ROOT", str(data)))
    pair = folder / "cityscapes" / "pspnet"
    for name, seed in (("plain-0", 0), ("plain-1", 1), ("bpkd", 2), ("bpkd_published", 3)):
        train(folder / "tiny.yaml", f"seed={seed}", f"run={pair / name}", progress=False)
    (pair / "cwd").mkdir()
    return folder


@pytest.fixture(scope="module")
def scenes(runs: Path) -> Path:
    """A run of another data set, with other classes."""
    return train(runs / "tiny.yaml", SCENES, f"run={runs / 'scenes'}", progress=False)


def row(lines: list[Line], method: str) -> Line:
    return next(line for line in lines if (line.pair, line.method) == ("pspnet", method))


def test_published_numbers_alone() -> None:
    lines = table(TABLE_2, None, PUBLISHED)
    assert len(lines) == 3 * 4 * 8
    assert all(line.published and not line.ours for line in lines)
    # Two numbers of the table, from its two ends.
    assert row(lines, "teacher").published == {"mIoU": 79.74, "mAcc": 86.56}
    assert lines[-2].published == {"mIoU": 45.5, "mAcc": 56.55}
    assert row(lines, "teacher").multiply_adds == 256.89


def test_runs_fill_their_rows_and_the_others_stay_open(runs: Path) -> None:
    lines = table(TABLE_2, runs, PUBLISHED, ["cityscapes"])
    pair = runs / "cityscapes" / "pspnet"
    both = [100 * evaluate(pair / f"plain-{seed}")["mIoU"] for seed in (0, 1)]
    assert row(lines, "plain").ours["mIoU"] == both
    assert row(lines, "bpkd").ours["mIoU"] == [100 * evaluate(pair / "bpkd")["mIoU"]]
    assert row(lines, "cwd").ours == {}  # begun, not finished
    assert {line.pair for line in lines if line.ours} == {"pspnet"}


def test_a_method_is_not_taken_for_another_that_begins_alike(runs: Path) -> None:
    found = [run.name for run in finished_runs(runs / "cityscapes/pspnet", "bpkd")]
    assert found == ["bpkd"]


def test_grids(runs: Path, tmp_path: Path) -> None:
    (grid,) = pairs_and_methods("2", runs, ["cityscapes"])
    plain = next(r for r in grid.rows if r[0] == "S: PSPNet-R18")
    assert plain[3] == "68.99" and "±" in plain[4]
    assert float(plain[5]) == pytest.approx(float(plain[4].split()[0]) - 68.99, abs=0.006)
    assert next(r for r in grid.rows if r[0] == "CWD")[4:6] == ["-", "-"]
    assert grid.markdown().count("\n| ") == 2 + 32
    # These runs are not what the recipes ask for, and each says so.
    assert len(grid.warnings) == 4 + 1
    assert grid.warnings[0].startswith(f"{runs / 'cityscapes/pspnet/plain-0'} differs from its")
    assert "max_iters 0 (40000)" in grid.warnings[0]
    assert "cwd is not finished" in grid.warnings[-1]
    grid.write_csv(tmp_path / "t.csv", [grid])
    records = list(csv.DictReader((tmp_path / "t.csv").open()))
    assert records[1]["runs"] == "2" and records[1]["mIoU_published"] == "68.99"


def test_a_folder_without_runs_says_where_it_looked(tmp_path: Path) -> None:
    grids = pairs_and_methods("80k", tmp_path, [])
    assert len(grids) == 3 and grids[0].title == "Cityscapes: 80k"
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
    by_class_too = by_class(tmp_path, "cityscapes", "pspnet")
    assert any("plain-0 is left out" in warning for warning in by_class_too[0].warnings)


def test_a_run_of_another_data_set_fills_no_row(runs: Path, scenes: Path, tmp_path: Path) -> None:
    shutil.copytree(runs / "cityscapes", tmp_path / "cityscapes")
    shutil.copytree(scenes, tmp_path / "cityscapes" / "pspnet" / "skds")
    (grid,) = pairs_and_methods("2", tmp_path, ["cityscapes"])
    assert next(r for r in grid.rows if r[0] == "SKDS")[4] == "-"
    line = "skds is left out: its data set has 10 classes, Cityscapes has 19"
    assert any(warning.endswith(line) for warning in grid.warnings)
    assert any(w.endswith(line) for w in by_class(tmp_path, "cityscapes", "pspnet")[0].warnings)


def test_table_1(runs: Path, tmp_path: Path) -> None:
    (grid,) = pairs_and_methods("1", None, [])
    assert [r[3] for r in grid.rows] == [
        "44.39",
        "17.11",
        "20.79",
        "20.75",
        "22.90",
        "24.79",
        "27.46",
        "27.46",
    ]
    with pytest.raises(UserError, match="this table has no cityscapes; it has ade20k"):
        pairs_and_methods("1", runs, ["cityscapes"])
    shutil.copytree(runs / "cityscapes", tmp_path / "ade20k")
    (grid,) = pairs_and_methods("1", tmp_path, [])
    assert all(r[4] == "-" for r in grid.rows)
    assert sum("its data set has 19 classes, ADE20K has 150" in w for w in grid.warnings) == 4


# Table 3 ------------------------------------------------------------------------------------------


def test_class_by_class_as_published() -> None:
    (grid,) = by_class(None, "cityscapes", "pspnet")
    assert grid.rows[3] == ["wall", "24.82", "-", "-", "29.22", "-", "-", "35.13", "-", "-"]
    assert grid.rows[-1][::3] == ["average", "-", "-", "-"] and grid.rows[-1][7] == "62.91"
    assert len(grid.rows) == 19 + 1 and "width not stated" in grid.note


def test_class_by_class_with_runs(runs: Path) -> None:
    grid, widths = by_class(runs, "cityscapes", "pspnet", 3)
    assert list(grid.header)[:3] == ["class", "plain", "ours"]
    assert list(grid.header)[7:] == ["bpkd", "ours", "Δ", "bpkd_published, ours"]
    score = evaluate(runs / "cityscapes" / "pspnet" / "bpkd")
    ours = 100 * score["trimap_IoU@3"][3]
    assert grid.records[3]["bpkd_ours"] == pytest.approx(ours, nan_ok=True)
    assert grid.records[-1]["bpkd_ours"] == pytest.approx(100 * score["trimap_mIoU@3"])
    assert grid.rows[-1][8:10] == [
        f"{100 * score['trimap_mIoU@3']:.2f}",
        f"{100 * score['trimap_mIoU@3'] - 62.91:+.2f}",
    ]
    assert "±" in grid.rows[-1][2]  # two seeds
    assert [row[0] for row in widths.rows] == ["1 px", "3 px", "5 px"]
    assert [row[8] for row in widths.rows] == [
        f"{100 * score[f'trimap_mIoU@{width}']:.2f}" for width in (1, 3, 5)
    ]


def fake(monkeypatch: pytest.MonkeyPatch, averages: dict[int, float]) -> None:
    """Every run measures like that, its first class being nowhere."""
    scores: dict[str, object] = {}
    for width, value in averages.items():
        scores[f"trimap_IoU@{width}"] = [float("nan")] + [value] * 18
        scores[f"trimap_mIoU@{width}"] = value
    monkeypatch.setattr("bpkd.report.paper_classes.measured", lambda run, progress: scores)


def test_the_width_is_the_one_that_comes_nearest(
    runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake(monkeypatch, {1: 0.5, 3: 0.58, 5: 0.66})  # printed: 55.34 plain, 62.91 bpkd
    grid, _ = by_class(runs, "cityscapes", "pspnet")
    assert grid.title.endswith("at 3 px")
    assert "of 1, 3, 5 px, our averages come nearest to its own at 3." in grid.note
    assert [r["width"] for r in grid.records] == ["3"] * 20
    assert by_class(runs, "cityscapes", "pspnet", 5)[0].title.endswith("at 5 px")


def test_a_class_without_pixels_has_no_number(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake(monkeypatch, {3: 0.5})
    grid, _ = by_class(runs, "cityscapes", "pspnet")
    assert grid.rows[0][:4] == ["road", "80.88", "-", "-"]
    assert grid.rows[1][:4] == ["sidewalk", "62.44", "50.00 ± 0.00", "-12.44"]


def test_a_run_of_other_classes_is_left_out_of_the_classes(runs: Path, tmp_path: Path) -> None:
    shutil.copytree(runs / "cityscapes", tmp_path / "cityscapes")
    run = tmp_path / "cityscapes" / "pspnet" / "bpkd"
    classes = (run / "classes.csv").read_text()
    (run / "classes.csv").write_text(classes.replace("wall", "heaven"))
    grid, _ = by_class(tmp_path, "cityscapes", "pspnet")
    assert grid.rows[-1][8] == "-" and grid.rows[-1][2] != "-"
    assert any("bpkd is left out: it has no class 'wall'" in line for line in grid.warnings)
    assert any("plain-0 differs from its row's recipe: max_iters 0" in w for w in grid.warnings)
    (run / "classes.csv").write_text("class\nsky\n")
    grid, _ = by_class(tmp_path, "cityscapes", "pspnet")
    assert any(re.search(r"bpkd is left out: .*classes.csv is dam", w) for w in grid.warnings)


def test_another_pair_has_nothing_published(runs: Path, tmp_path: Path) -> None:
    """Two grids of two pairs go into one spreadsheet."""
    shutil.copytree(runs / "cityscapes" / "pspnet" / "bpkd", tmp_path / "cityscapes/hrnet/cwd")
    grids = [
        *by_class(runs, "cityscapes", "pspnet", 3),
        *by_class(tmp_path, "cityscapes", "hrnet", 3),
    ]
    assert list(grids[2].header) == ["class", "cwd, ours"]
    grids[0].write_csv(tmp_path / "t.csv", grids)
    records = list(csv.DictReader((tmp_path / "t.csv").open()))
    assert [r["pair"] for r in (records[0], records[-1])] == ["pspnet", "hrnet"]
    assert records[0]["cwd_ours"] == "" and records[0]["cwd_published"] == "81.84"
    assert records[-1]["cwd_ours"] == records[22]["bpkd_ours"] != ""


def test_a_folder_without_runs_leaves_table_3_as_published(tmp_path: Path) -> None:
    (grid,) = by_class(tmp_path, "cityscapes", "pspnet")
    assert grid.rows[-1][7] == "62.91"
    (warning,) = grid.warnings
    assert "no finished run" in warning and "train e.g. table2/cityscapes/pspnet" in warning


# Table 4 ------------------------------------------------------------------------------------------


def test_instances_as_published() -> None:
    grid = instances(None)
    assert [row[1] for row in grid.rows] == ["41.70", "26.70", "28.40", "33.20"]
    assert grid.rows[-1][0] == "BPKD" and grid.rows[-1][-3:] == ["50.60", "-", "-"]


def test_instances_with_runs(scenes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(scenes, tmp_path / "bpkd-0")
    (tmp_path / "kd").mkdir()
    grid = instances(tmp_path)
    assert grid.rows[-1][2] == "-"
    assert "bpkd-0 is left out: its task is another: it is not measured by AP" in grid.warnings[0]
    assert "kd is no row: expected METHOD or METHOD-SEED, of teacher, plain" in grid.warnings[1]
    scores = {"AP": 0.3, "AP50": 0.5, "AP75": 0.3, "APs": 0.1, "APm": 0.4, "APl": 0.5}
    monkeypatch.setattr("bpkd.report.paper.measured", lambda run, progress: scores)
    monkeypatch.setattr("bpkd.report.paper.differences", lambda run, row: "")
    grid = instances(tmp_path)
    assert grid.rows[-1][1:4] == ["33.20", "30.00", "-3.20"]
    assert grid.records[-1]["AP_L_ours"] == 50 and grid.records[-1]["runs"] == 1
    (tmp_path / "empty").mkdir()
    assert "a row is looked for in" in instances(tmp_path / "empty").warnings[0]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda runs: table(TABLE_2, runs / "nowhere", {}), "is no folder"),
        (lambda runs: table(TABLE_2, runs, {}, ["citycapes"]), "did you mean 'cityscapes'"),
        (lambda runs: by_class(runs, "ade20k", "pspnet"), "no finished run"),
        (lambda runs: by_class(runs, "ade", "pspnet"), "'ade' is no data set of the paper"),
        (lambda runs: by_class(runs, "ade20k", "pspnt"), "did you mean 'pspnet'"),
        (lambda runs: by_class(runs / "nowhere", "ade20k", "pspnet"), "is no folder"),
        (lambda runs: by_class(runs, "cityscapes", "pspnet", 4), "width 4; all are at 1, 3, 5"),
        (lambda runs: by_class(None, "ade20k", "pspnet"), "alone; give --runs"),
        (lambda runs: instances(runs / "nowhere"), "is no folder"),
    ],
)
def test_mistakes(runs: Path, call: Callable[[Path], object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        call(runs)
