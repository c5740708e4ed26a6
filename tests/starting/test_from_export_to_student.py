"""From each tool's export to a measured student: init, two iterations, evaluate."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import bpkd as package
from tests import exports
from tests.commands import bpkd, done, refused

TINY = ("--weights", "none", "--teacher", "test_resnet.r160_in1k",
        "--student", "test_resnet.r160_in1k")  # fmt: skip
SHORT = ("max_iters=2", "batch_size=2", "workers=0", "evaluation.every=2", "schedule.warmup=0")


def contents(folder: Path) -> dict[str, bytes]:
    files = (file for file in folder.rglob("*") if file.is_file())
    return {str(file): file.read_bytes() for file in sorted(files)}


def walk(name: str, tmp_path: Path) -> None:
    data = tmp_path / "photos"
    exports.EXPORTS[name](data)
    before = contents(data)
    said = done("init", "photos", *TINY)
    next_commands = [line.strip() for line in said.partition("next:\n")[2].splitlines()]
    assert next_commands == [
        "bpkd train teacher.yaml",
        "bpkd train student.yaml",
        "bpkd compare runs/teacher runs/student --out picture.png",
    ]
    assert "\n0 broken of " in done("data", "check", "teacher.yaml")
    done("train", "teacher.yaml", "--quiet", *SHORT)
    done("train", "student.yaml", "--quiet", *SHORT)
    split = "test" if "test: val" in Path("teacher.yaml").read_text() else "val"
    done("evaluate", "runs/student", "--split", split)
    scores = json.loads(Path(f"runs/student/evaluation_{split}.json").read_text())["scores"]
    assert 0 <= scores["mIoU"] <= 1
    assert contents(data) == before


@pytest.mark.parametrize("name", ["coco"])
def test_from_an_export_to_a_student(name: str, tmp_path: Path) -> None:
    walk(name, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(exports.EXPORTS.keys() - {"coco"}))
def test_from_every_export_to_a_student(name: str, tmp_path: Path) -> None:
    walk(name, tmp_path)


def test_distill_is_one_call(tmp_path: Path) -> None:
    exports.labelme(tmp_path / "photos")
    said = done("distill", "photos", "--quiet", *TINY, *SHORT)
    assert "training the teacher: distilled/teacher.yaml" in said
    assert said.endswith("next: bpkd evaluate distilled/runs/student\n")
    done("evaluate", "distilled/runs/student")
    line = refused("distill", "photos", "--quiet", *TINY, *SHORT)
    assert "distilled holds teacher.yaml already: --resume goes on with it" in line
    # From Python, with a teacher that is there; and finished runs are left as they are.
    run = package.distill(
        "photos", *SHORT, teacher="distilled/runs/teacher", student="test_resnet.r160_in1k",
        weights=None, out="second", progress=False,
    )  # fmt: skip
    assert run == Path("second/runs/student") and (run / "student.safetensors").is_file()
    assert not Path("second/teacher.yaml").exists()
    weights = (run / "student.safetensors").read_bytes()
    assert package.distill("photos", *SHORT, out="second", resume=True, progress=False) == run
    assert (run / "student.safetensors").read_bytes() == weights


def test_one_folder_for_both_runs_is_refused(tmp_path: Path) -> None:
    exports.labelme(tmp_path / "photos")
    assert "set --out DIR instead" in refused("distill", "photos", "run=here")
    code, _, _ = bpkd("distill", "--help")
    assert code == 0
