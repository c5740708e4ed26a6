"""Whether a run is what its row of the paper's tables asks for."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bpkd.recipe.loading import dump, load_recipe
from bpkd.report.paper_runs import differences, finished_runs, passed_over

ROW = "table2/cityscapes/hrnet/bpkd"


def run(folder: Path, *changes: str, batch: str | None = None) -> Path:
    """The folder of a run with these changes of its row's recipe."""
    folder.mkdir(parents=True)
    (folder / "recipe.yaml").write_text(dump(load_recipe(ROW, changes)))
    if batch is not None:
        (folder / "environment.json").write_text(json.dumps({"batch": batch}))
    return folder


def test_a_run_of_the_row_differs_in_nothing(tmp_path: Path) -> None:
    assert differences(run(tmp_path / "bpkd"), ROW) == ""


def test_where_and_how_fast_a_run_trains_is_of_no_account(tmp_path: Path) -> None:
    changes = ["seed=3", "data.root=elsewhere", "workers=0", "nodes=2", "checkpoint_every=5"]
    changes += ["teacher.checkpoint=mine.pth", "batch_size=1", "accumulate=2", "devices=4"]
    own = run(tmp_path / "bpkd", *changes, batch="1 a step x 2 accumulated x 4 devices = 8")
    assert differences(own, ROW) == ""


def test_of_a_network_as_it_is_only_what_measures_it_counts(tmp_path: Path) -> None:
    row = "table2/cityscapes/hrnet/teacher"
    for name, change, found in (
        ("a", "batch_size=2", ""),
        ("b", "augment.crop=[64, 64]", ""),
        ("c", "evaluation.flip=true", "evaluation.flip yes (no)"),
    ):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "recipe.yaml").write_text(dump(load_recipe(row, [change])))
        assert differences(folder, row) == found


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ("batch_size=2", "images an iteration 2 (8)"),
        ("max_iters=20", "max_iters 20 (40000)"),
        ("augment.crop=[64, 64]", "augment.crop [64, 64] ([512, 512])"),
        ("student.weights=null", "student.weights no (yes)"),
        ("losses.bpkd.weight.edge=50", "losses.bpkd.weight.edge 50.0 (none)"),
        ("losses.cwd={use: bpkd.losses.cwd.CWD}", "losses.cwd.use 'bpkd.losses.cwd.CWD' (none)"),
        ("evaluation.flip=true", "evaluation.flip yes (no)"),
        ("data.test=train", "data.test 'train' ('val')"),
        ("optimizer.lr=0.02", "optimizer.lr 0.02 (0.01)"),
    ],
)
def test_what_decides_the_numbers(tmp_path: Path, change: str, found: str) -> None:
    assert found in differences(run(tmp_path / "bpkd", change), ROW)


def test_a_published_student_differs_in_what_it_is_alone(tmp_path: Path) -> None:
    changes = ["max_iters=0", "student.weights=null", "student.checkpoint=theirs.pth"]
    found = differences(run(tmp_path / "bpkd", *changes, batch="16"), ROW)
    assert sorted(found.split(", ")) == [
        "max_iters 0 (40000)",
        "student.checkpoint yes (no)",
        "student.weights no (yes)",
    ]


@pytest.mark.parametrize("noted", ["[1]", '{"batch": "8 imgs"}', "{", "{}"])
def test_a_damaged_note_of_the_batch_is_no_note(tmp_path: Path, noted: str) -> None:
    own = run(tmp_path / "bpkd")
    (own / "environment.json").write_text(noted)
    assert differences(own, ROW) == ""


def test_many_differences_are_counted(tmp_path: Path) -> None:
    changes = ["max_iters=1", "schedule.power=1", "schedule.floor=0", "auxiliary_weight=0"]
    changes += ["augment.flip=0", "augment.photometric=false", "precision=32"]
    found = differences(run(tmp_path / "bpkd", *changes), ROW)
    assert found.count("(") == 5 and found.endswith(" and 2 more")


def test_folders_that_fill_no_row(tmp_path: Path) -> None:
    pair = tmp_path / "ade20k" / "hrnet"
    for name in ("bpkd", "bpkd-1", "bpkd_seed2", "CWD", "cwd"):
        run(pair / name)
        if name != "cwd":
            (pair / name / "student.safetensors").touch()
    (pair / "notes.txt").touch()
    found = [folder.name for folder in finished_runs(pair, "bpkd")]
    assert found == ["bpkd", "bpkd-1"]
    lines = [line.partition(str(pair))[2] for line in passed_over(pair)]
    assert [line[1:11] for line in lines] == ["CWD is no ", "bpkd_seed2", "cwd is not"]
