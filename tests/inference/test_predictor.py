"""One predictor: the commands take a network's file where they take a run."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bpkd.inference.predictor import predictor
from tests.commands import done, refused
from tests.network_files import description, page, write
from tests.runs import run

CLASSES = 10


@pytest.fixture
def student(recipe: Path) -> Path:
    """The folder of a run."""
    return run(recipe, "student", "max_iters=0")


@pytest.fixture
def file(student: Path) -> Path:
    """A file that says that it comes from that run."""
    rows = list(csv.DictReader((student / "classes.csv").open()))
    palette = [[int(row[key]) for key in "rgb"] for row in rows]
    said = description(CLASSES, classes=[row["name"] for row in rows], palette=palette)
    made = write(student.parent / "student.onnx", channels=CLASSES, said=said)
    page(made, said, student / "recipe.yaml")
    return made


def test_evaluate(file: Path) -> None:
    said = done("evaluate", file, "--split", "val")
    kept = Path(f"{file}.evaluation_val.json")
    assert f"all numbers: {kept}" in said
    before = json.loads(kept.read_text())
    assert 0 <= before["scores"]["mIoU"] < 0.5
    done("evaluate", file, "--split", "val")
    assert json.loads(kept.read_text()) == before, "measured again, though nothing changed"
    said = predictor(file).network.description  # another network under the same name
    write(file, channels=CLASSES, said=said, scale=-1)
    done("evaluate", file, "--split", "val")
    assert json.loads(kept.read_text())["fingerprint"] != before["fingerprint"]


def test_predict(file: Path, tmp_path: Path) -> None:
    blue = np.zeros((6, 9, 3), dtype=np.uint8)
    blue[:, 4:, 2] = 255
    Image.fromarray(blue).save(tmp_path / "photo.png")
    done("predict", file, tmp_path / "photo.png", "--out", tmp_path / "out")
    labels = np.asarray(Image.open(tmp_path / "out/labels/photo.png"))
    assert (labels[:, 4:] == 2).all() and (labels[:, :4] != 2).all()


def test_compare(student: Path, file: Path, tmp_path: Path) -> None:
    picture = tmp_path / "picture.png"
    said = done("compare", student, file, "--split", "val", "--out", picture, "--markdown")
    header, _, of_run, of_file = said.splitlines()[:4]
    assert header.endswith("| parameters | ms per image | ms, 1 thread | MB |")
    assert of_run.startswith("| tiny |") and of_file.startswith("| student.onnx |")
    assert picture.is_file()


def test_model(student: Path, file: Path) -> None:
    said = done("model", student, file, "--size", 32, 48, "--no-timing", "--markdown")
    assert "| multiply-adds | " in said and said.count("exported size") == 1
    assert said.split("| multiply-adds |")[1].splitlines()[0].endswith("46.08 k |")  # 10*3*32*48


def test_what_a_file_alone_does_not_say(file: Path) -> None:
    Path(f"{file}.yaml").unlink()
    assert "keep them so" in refused("evaluate", file)
    assert "leave --checkpoint out" in refused("predict", file, ".", "--checkpoint", "best")
    assert "no such file" in refused("evaluate", file.with_name("nowhere.onnx"))


def test_a_program_from_strangers_needs_consent(tmp_path: Path) -> None:
    (tmp_path / "a.ts").write_bytes(b"PK")
    said = refused("evaluate", tmp_path / "a.ts")
    assert "runs a program" in said and "--trust" in said
