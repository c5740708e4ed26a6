"""The commands on a run that finds objects."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from faster_coco_eval.core import mask as masks
from PIL import Image

from bpkd import train
from bpkd.datasets.instance_scenes import InstanceScenes
from bpkd.datasets.instances import Instances
from bpkd.inference.instance_prediction import as_results, category_ids, numbered
from bpkd.recipe.instance import InstanceRecipe
from bpkd.recipe.loading import load_recipe
from tests.coco_folders import content, write
from tests.commands import bpkd, done, refused
from tests.instance_runs import TINY


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that sees something everywhere."""
    folder = tmp_path_factory.mktemp("instances")
    (folder / "tiny.yaml").write_text(TINY)
    overrides = ["max_iters=1", "data.val=null", "evaluation.score_threshold=0.005"]
    overrides += ["evaluation.mask_threshold=0.3", "evaluation.filter_threshold=0"]
    return train(folder / "tiny.yaml", f"run={folder / 'run'}", *overrides, progress=False)


def test_evaluate(run: Path) -> None:
    shown = done("evaluate", run)
    assert "medium from 8², large from 24² pixels" in " ".join(shown.split())
    for word in ("AP50", "AP75", "small", "medium", "large", "boundary", "pill", "hook"):
        assert word in shown, word
    scores = json.loads((run / "evaluation_test.json").read_text())["scores"]
    assert {"AP", "APs", "APl", "AR", "boundary_AP", "class_AP"} <= scores.keys()
    assert len(scores["class_AP"]) == 5
    assert "medium from" not in done("evaluate", run, "evaluation.size_limits=[32,96]")


def test_predict(run: Path, tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    for index, name in enumerate(("12.png", "7.png")):
        image = InstanceScenes("test", size=(40, 56))[index][0]
        Image.fromarray(image.permute(1, 2, 0).numpy()).save(photos / name)
    out = tmp_path / "out"
    assert "2 images: " in done("predict", run, photos, "--out", out)
    images = json.loads((out / "images.json").read_text())
    assert [each["id"] for each in images["images"]] == [12, 7]
    assert images["categories"][4] == {"id": 5, "name": "hook"}
    results = json.loads((out / "results.json").read_text())
    assert results and {each["image_id"] for each in results} <= {12, 7}
    for name in ("12", "7"):
        ids = np.asarray(Image.open(out / "instances" / f"{name}.png"))
        own = [each for each in results if each["image_id"] == int(name)]
        assert ids.shape == (40, 56) and 0 < ids.max() <= len(own)
        for number in np.unique(ids[ids > 0]):
            mask = masks.decode(own[number - 1]["segmentation"])
            assert (mask[ids == number] == 1).all()
        overlay = np.asarray(Image.open(out / "overlays" / f"{name}.png").convert("RGB"))
        assert overlay.shape == (40, 56, 3)
    (photos / "broken.png").write_bytes(b"none")
    code, told, _ = bpkd("predict", run, photos, "--out", out)
    assert code == 1 and "failed: " in told and "2 images" in told
    assert "windows and labels to train on are for label maps" in refused(
        "predict", run, photos, "--window", 64
    )


def test_results_are_cocos() -> None:
    masks_ = torch.zeros(2, 6, 8).bool()
    masks_[0, 1:5, 2:7] = True
    masks_[1, 2:4, 3:5] = True
    found = Instances.of(masks_, torch.tensor([1, 0]), torch.tensor([0.75, 0.5]))
    first, second = as_results(found, 9, [18, 44])
    assert (first["category_id"], second["category_id"]) == (44, 18)
    assert first["bbox"] == [2.0, 1.0, 5.0, 4.0] and first["score"] == 0.75
    assert masks.decode(second["segmentation"]).sum() == 4
    ids = numbered(found)
    assert ids.dtype == np.uint16 and (ids == 2).sum() == 4 and (ids == 1).sum() == 16
    assert as_results(Instances.none(4, 4), 1, [1]) == []


def test_categories_are_the_files(tmp_path: Path) -> None:
    write(tmp_path / "coco", content())
    file = tmp_path / "coco.yaml"
    file.write_text(
        "data: {use: bpkd.datasets.coco.COCO, root: " + str(tmp_path / "coco") + ", val: null}\n"
        "student: {use: bpkd.networks.solov2_light_r18}\n"
    )
    recipe = load_recipe(file)
    assert isinstance(recipe, InstanceRecipe)
    assert category_ids(recipe, 2) == [1, 90]
    assert category_ids(recipe, 3) == [1, 2, 3]  # the run had other classes


def test_compare(run: Path, tmp_path: Path) -> None:
    picture, table = tmp_path / "picture.png", tmp_path / "table.csv"
    shown = done("compare", run, "--out", picture, "--csv", table, "--markdown")
    assert "| AP | AP50 | AP75 | AP small | AP medium | AP large | boundary AP |" in shown
    width, height = Image.open(picture).size
    assert width > 600 and height > 200
    with table.open(newline="") as stream:
        (row,) = csv.DictReader(stream)
    assert {"AP", "APs", "boundary_AP", "ARl"} <= row.keys()
    assert "image 99" in refused("compare", run, "--image", 99, "--out", picture)


def test_data_check_of_a_shipped_recipe() -> None:
    shown = done("data", "check", "instances/plain", "data.count=4", "data.val=null")
    assert "pill" in shown
