"""Rows of the paper's Table 2, from their recipes to the table, on a tiny Cityscapes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from bpkd import load, train
from bpkd.networks.checkpoints import to_openmmlab
from bpkd.recipe.loading import load_recipe
from bpkd.report.paper import table
from bpkd.report.paper_numbers import TABLES
from bpkd.training.building import build_student

PAIRS = ("pspnet", "hrnet", "deeplabv3plus", "isanet")
METHODS = ("plain", "skds", "ifvd", "cirkd", "cwd", "bpkd")
#: What a machine without a GPU needs; the rest is the recipe's own.
SMALL = ("workers=0", "batch_size=2", "augment.base_size=null")


@pytest.fixture(scope="module")
def cityscapes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three frames a split, in the official folders, names and label ids."""
    root = tmp_path_factory.mktemp("cityscapes")
    rng = np.random.default_rng(0)
    ids = np.array([7, 8, 11, 17, 21, 23, 24, 26, 0, 3], dtype=np.uint8)
    for split, city in (("train", "aachen"), ("val", "frankfurt")):
        images, labels = root / "leftImg8bit" / split / city, root / "gtFine" / split / city
        images.mkdir(parents=True)
        labels.mkdir(parents=True)
        for frame in range(3):
            stem = f"{city}_{frame:06d}_000019"
            small = ids[rng.integers(len(ids), size=(4, 8))]
            classes = small.repeat(16, 0).repeat(16, 1)  # blocks of 16 pixels
            colours = np.stack([classes * 9, classes * 5, 255 - classes * 7], -1)
            Image.fromarray(colours.astype(np.uint8)).save(images / f"{stem}_leftImg8bit.png")
            Image.fromarray(classes).save(labels / f"{stem}_gtFine_labelIds.png")
    return root


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """ADE20K and Pascal Context in their official folders and values: 0 is no class."""
    roots = {name: tmp_path_factory.mktemp(name) for name in ("ade20k", "pascal_context")}
    ade, voc = roots["ade20k"], roots["pascal_context"] / "VOCdevkit" / "VOC2010"
    rng = np.random.default_rng(0)
    for split, folder in (("train", "training"), ("val", "validation")):
        names = [f"{split}_{index}" for index in range(3)]
        for index, name in enumerate(names):
            pairs = {
                (ade / "images" / folder, ade / "annotations" / folder): 150,
                (voc / "JPEGImages", voc / "SegmentationClassContext"): 59,
            }
            for (images, labels), classes in pairs.items():
                images.mkdir(parents=True, exist_ok=True)
                labels.mkdir(parents=True, exist_ok=True)
                small = rng.integers(classes + 1, size=(4, 5), dtype=np.uint8)
                values = small.repeat(16, 0).repeat(16, 1)[: 52 + index]  # sizes differ
                Image.fromarray(np.stack([values] * 3, -1)).save(images / f"{name}.jpg")
                Image.fromarray(values).save(labels / f"{name}.png")
        lists = voc / "ImageSets" / "SegmentationContext"
        lists.mkdir(parents=True, exist_ok=True)
        (lists / f"{split}.txt").write_text("\n".join(names) + "\n")
    return roots


def run_row(root: Path, out: Path, pair: str, method: str, iterations: int, crop: int) -> Path:
    name = f"table2/cityscapes/{pair}/{method}"
    changes = [f"data.root={root}", f"max_iters={iterations}", f"run={out / name}", *SMALL]
    changes.append(f"augment.crop=[{crop},{crop}]")
    # Nothing is downloaded here: random weights.
    if method != "teacher":
        changes.append("student.weights=null")
    if method != "plain":
        changes.append("teacher.checkpoint=null")
    return train(name, *changes, progress=False)


def filled(out: Path) -> set[tuple[str, str]]:
    lines = table(TABLES["2"], out / "table2", {}, ["cityscapes"])
    return {(line.pair, line.method) for line in lines if len(line.ours.get("mIoU", [])) == 1}


def test_a_row_from_its_recipe_to_the_table(cityscapes: Path, tmp_path: Path) -> None:
    run_row(cityscapes, tmp_path, "hrnet", "bpkd", iterations=2, crop=64)
    assert filled(tmp_path) == {("hrnet", "bpkd")}


@pytest.mark.parametrize(
    ("data", "row"), [("ade20k", "hrnet/plain"), ("pascal_context", "isanet/cwd")]
)
def test_a_row_of_the_other_data_sets(
    elsewhere: dict[str, Path], tmp_path: Path, data: str, row: str
) -> None:
    changes = [f"data.root={elsewhere[data]}", f"run={tmp_path / data / row}", "workers=0"]
    changes += ["max_iters=2", "batch_size=2", "augment.crop=[64,64]", "student.weights=null"]
    # The recipes' own sizes are much for a machine without a GPU, and so is a ResNet-101.
    changes += ["augment.base_size=[80,64]", "evaluation.base_size=[80,64]"]
    if row == "isanet/cwd":
        changes += ["teacher.use=bpkd.networks.isanet_r18", "teacher.checkpoint=null"]
    train(f"80k/{data}/{row}", *changes, progress=False)
    (line,) = (line for line in table(TABLES["80k"], tmp_path, {}, [data]) if line.ours)
    assert f"{line.pair}/{line.method}" == row and len(line.runs) == 1
    assert "max_iters 2 (80000)" in line.problems[0]


def test_a_published_student_fills_its_row_without_any_other_file(
    cityscapes: Path, tmp_path: Path
) -> None:
    name, file = "80k/cityscapes/hrnet/bpkd", tmp_path / "bpkd_80k_hrnet_student.pth"
    changes = ["max_iters=0", "student.weights=null", f"data.root={cityscapes}"]
    source = build_student(load_recipe(name, [*changes, "seed=1"]), num_classes=19)
    torch.save({"meta": {}, "state_dict": to_openmmlab(source)}, file)
    out = tmp_path / "cityscapes" / "hrnet" / "bpkd"
    train(name, *changes, f"student.checkpoint={file}", f"run={out}", progress=False)
    theirs = load(out).state_dict()
    assert all(torch.equal(value, theirs[key]) for key, value in source.state_dict().items())
    assert [
        line.method for line in table(TABLES["2"], tmp_path, {}, ["cityscapes"]) if line.ours
    ] == ["bpkd"]


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("pair", PAIRS)
def test_every_method_of_a_pair(cityscapes: Path, tmp_path: Path, pair: str) -> None:
    for method in METHODS:
        # The discriminator wants maps of 64 pixels: crops of 256 at stride 4, of 512 at stride 8.
        stride = 4 if pair in ("hrnet", "deeplabv3plus") else 8
        judged = method in ("skds", "ifvd")
        iterations = 2 if judged and stride == 8 else 20
        crop = 64 * stride if judged else 64
        run_row(cityscapes, tmp_path, pair, method, iterations, crop)
    run_row(cityscapes, tmp_path, pair, "teacher", 0, 64)
    assert filled(tmp_path) == {(pair, method) for method in (*METHODS, "teacher")}
