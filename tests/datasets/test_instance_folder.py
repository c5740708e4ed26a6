"""Folders of instance maps: numbers, categories, crowds, Cityscapes, shares."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from bpkd.datasets.cityscapes_instances import CityscapesInstances
from bpkd.datasets.instance_folder import InstanceFolder
from bpkd.errors import UserError
from tests.pictures import save


def pair(root: Path, numbers: Any, name: str = "train/a", dtype: Any = np.uint16) -> Path:
    """An image of the size of its map; the root."""
    numbers = np.array(numbers, dtype=dtype)
    save(root / f"images/{name}.png", np.zeros((*numbers.shape, 3)))
    file = root / f"instances/{name}.png"
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(numbers).save(file)
    return root


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_each_number_is_an_instance(tmp_path: Path, dtype: Any) -> None:
    root = pair(tmp_path, [[0, 5, 5], [0, 0, 200], [5, 0, 200]], dtype=dtype)
    data = InstanceFolder(root, "train")
    assert (data.classes, data.task, data.name(0)) == (["object"], "instance", "a")
    found = data[0][1]
    assert found.masks.int().tolist() == [
        [[0, 1, 1], [0, 0, 0], [1, 0, 0]],  # in two pieces, and one instance
        [[0, 0, 0], [0, 0, 1], [0, 0, 1]],
    ]
    assert found.boxes.tolist() == [[0, 0, 3, 3], [2, 1, 3, 3]]
    assert found.labels.tolist() == [0, 0] and not found.crowd.any()


def test_high_numbers_and_ignored_ones(tmp_path: Path) -> None:
    root = pair(tmp_path, [[0, 40000, 65535]])
    assert len(InstanceFolder(root, "train")[0][1].labels) == 2
    assert len(InstanceFolder(root, "train", ignore=[65535])[0][1].labels) == 1
    assert len(InstanceFolder(pair(tmp_path, [[0, 0]]), "train")[0][1].labels) == 0


def test_categories(tmp_path: Path) -> None:
    root = pair(tmp_path, [[0, 1001, 1002], [2001, 2, 3007]])
    three = InstanceFolder(root, "train", classes=["a", "b", "c"], divisor=1000)[0][1]
    # 2 is a crowd of category 2, and first by its number.
    assert three.labels.tolist() == [1, 0, 0, 1, 2]
    assert three.crowd.tolist() == [True, False, False, False, False]
    some = InstanceFolder(root, "train", classes=["a"], divisor=1000, label_map={3: 0})[0][1]
    assert some.labels.tolist() == [0] and some.masks.sum() == 1
    with pytest.raises(UserError, match="holds the number 3007, of category 3: expected 1 to 2"):
        InstanceFolder(root, "train", classes=["a", "b"], divisor=1000)[0]
    (root / "classes.csv").write_text("name,r,g,b\na,1,2,3\nb,4,5,6\nc,7,8,9\n")
    data = InstanceFolder(root, "train", divisor=1000)
    assert (data.classes, data.palette[1]) == (["a", "b", "c"], (4, 5, 6))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"classes": ["a", "b"]}, "set data.divisor"),
        ({"label_map": {1: 0}}, "which data.divisor has to tell"),
        ({"divisor": 1}, "expected a whole number from 2"),
        ({"divisor": 10, "label_map": {1: 4}}, "names the class 4: expected 0 to 0"),
        ({"palette": [[0, 0, 0]] * 3}, "palette has 3 colours for 1 classes"),
        ({"shares": {"train": 0.8, "val": 0.4}}, "add up to 1 or less"),
        ({"shares": {"val": 0.4}}, "no split 'train': expected val"),
        ({"instances": "maps"}, "maps is no folder"),
    ],
)
def test_arguments_that_make_no_sense(tmp_path: Path, arguments: Any, words: str) -> None:
    with pytest.raises(UserError, match=words):
        InstanceFolder(pair(tmp_path, [[1]]), "train", **arguments)


def test_files_that_make_no_sense(tmp_path: Path) -> None:
    root = pair(tmp_path, [[1, 2]])
    file = root / "instances/train/a.png"
    save(file, np.zeros((1, 2, 3)))
    with pytest.raises(UserError, match="image of mode RGB: expected one number a pixel"):
        InstanceFolder(root, "train")[0]
    save(file, np.zeros((2, 2)))
    with pytest.raises(UserError, match=r"a\.png is 2x1 and its map .* is 2x2"):
        InstanceFolder(root, "train")[0]
    Image.new("L", (2, 1)).save(file, format="JPEG")
    with pytest.raises(UserError, match="is a JPEG, which blurs numbers"):
        InstanceFolder(root, "train")[0]
    file.unlink()
    with pytest.raises(UserError, match=r"a\.png has no label map"):
        InstanceFolder(root, "train")


def test_shares_of_one_folder(tmp_path: Path) -> None:
    for i in range(10):
        pair(tmp_path, [[1]], f"{i}")
    arguments: Any = {"images": "images", "instances": "instances"}
    shares = {"train": 0.6, "val": 0.4}
    split = {
        name: [file.name for file, _ in
               InstanceFolder(tmp_path, name, shares=shares, **arguments).pairs]
        for name in shares
    }  # fmt: skip
    assert [len(names) for names in split.values()] == [6, 4]
    assert not {*split["train"]} & {*split["val"]}
    assert split["val"] == ["2.png", "5.png", "6.png", "7.png"]  # the same for ever


def test_cityscapes(tmp_path: Path) -> None:
    save(tmp_path / "leftImg8bit/val/ulm/ulm_1_leftImg8bit.png", np.zeros((1, 6, 3)))
    file = tmp_path / "gtFine/val/ulm/ulm_1_gtFine_instanceIds.png"
    file.parent.mkdir(parents=True)
    # Road, a group of cars, two cars, a person, a parking.
    numbers = np.array([[7, 26, 26000, 26001, 24003, 9]], dtype=np.uint16)
    Image.fromarray(numbers).save(file)
    data = CityscapesInstances(tmp_path, "val")
    assert data.name(0) == "ulm_1_leftImg8bit"
    found = data[0][1]
    assert [data.classes[label] for label in found.labels.tolist()] == [
        "car",
        "person",
        "car",
        "car",
    ]
    assert found.crowd.tolist() == [True, False, False, False]
