"""COCO-Stuff: pixel maps as published and as converted, and the gaps among the 182 numbers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bpkd.datasets.coco_stuff import CLASSES, TRAIN_IDS, COCOStuff
from bpkd.errors import UserError

# First and last value of each run of the published conversion, and the class of the first.
RUNS = [
    (0, 10, 0), (12, 24, 11), (26, 27, 24), (30, 43, 26), (45, 64, 40), (66, 66, 60), (69, 69, 61),
    (71, 81, 62), (83, 89, 73), (91, 181, 80),
]  # fmt: skip


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for split, mode in (("train2017", "L"), ("val2017", "RGB")):
        for kind in ("images", "annotations"):
            (tmp_path / kind / split).mkdir(parents=True)
        # COCO has greyscale JPEGs.
        Image.new(mode, (183, 1)).save(tmp_path / f"images/{split}/000000000139.jpg")
        labels = Image.fromarray(np.array([[*range(182), 255]], np.uint8))
        labels.save(tmp_path / f"annotations/{split}/000000000139.png")
    return tmp_path


def official() -> dict[int, int]:
    table = dict.fromkeys(range(182), 255)
    for first, last, label in RUNS:
        table.update({value: label + value - first for value in range(first, last + 1)})
    return table


def test_the_table_of_numbers() -> None:
    assert official() == TRAIN_IDS
    assert len(CLASSES) == len(set(CLASSES)) == 171
    named = {value: CLASSES[label] for value, label in TRAIN_IDS.items() if label != 255}
    # By COCO's numbers, which are larger by 1.
    for number, name in ((1, "person"), (13, "stop sign"), (90, "toothbrush"), (92, "banner")):
        assert named[number - 1] == name
    assert (named[149 - 1], named[182 - 1]) == ("road", "wood")


def test_published_maps(root: Path) -> None:
    image, labels = COCOStuff(root, "train")[0]
    assert image.shape == (3, 1, 183)
    assert labels.tolist() == [[*official().values(), 255]]
    assert len(COCOStuff(root, "train2017")) == len(COCOStuff(root, "val")) == 1


def test_converted_maps(root: Path) -> None:
    values = np.array([[*range(171), *[255] * 12]], np.uint8)
    file = root / "annotations/val2017/000000000139_labelTrainIds.png"
    Image.fromarray(values).save(file)
    assert COCOStuff(root, "val")[0][1].tolist() == values.tolist()
    with pytest.raises(UserError, match=r"train2017/000000000139_labelTrainIds.png \(1 of 1"):
        COCOStuff(root, "train+val")


def test_what_is_missing_is_said_in_one_line(root: Path) -> None:
    with pytest.raises(UserError, match=r"no folder.*stuffthingmaps_trainval2017.zip"):
        COCOStuff(root / "images", "val")
    with pytest.raises(UserError, match="no split 'test': expected train, val"):
        COCOStuff(root, "test")
