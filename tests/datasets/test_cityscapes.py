"""Cityscapes: the official layout with the files beside the labels, and the 34 ids."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bpkd.datasets.cityscapes import CLASSES, TRAIN_IDS, Cityscapes
from bpkd.errors import UserError

# (id, trainId) of each label, from the table of cityscapesScripts.
OFFICIAL = {
    -1: 255, 0: 255, 1: 255, 2: 255, 3: 255, 4: 255, 5: 255, 6: 255, 7: 0, 8: 1, 9: 255, 10: 255,
    11: 2, 12: 3, 13: 4, 14: 255, 15: 255, 16: 255, 17: 5, 18: 255, 19: 6, 20: 7, 21: 8, 22: 9,
    23: 10, 24: 11, 25: 12, 26: 13, 27: 14, 28: 15, 29: 255, 30: 255, 31: 16, 32: 17, 33: 18,
}  # fmt: skip
IDS = np.array([[*range(34), 255]], np.uint8)  # -1 in 8 bits is 255


def scene(root: Path, split: str, city: str, frame: str, kind: str = "gtFine") -> Path:
    """An image with all the files that Cityscapes puts beside it; the stem of its labels."""
    image = root / "leftImg8bit" / split / city / f"{city}_{frame}_leftImg8bit.png"
    labels = root / kind / split / city / f"{city}_{frame}_{kind}"
    for file in (image, labels):
        file.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (35, 1)).save(image)
    Image.fromarray(IDS).save(f"{labels}_labelIds.png")
    Image.fromarray(IDS.astype(np.uint16) * 1000).save(f"{labels}_instanceIds.png")
    Image.new("RGBA", (35, 1)).save(f"{labels}_color.png")
    Path(f"{labels}_polygons.json").write_text("{}")
    return labels


def convert(labels: Path) -> None:
    train_ids = np.array([[18, *[255] * 34]], np.uint8)
    Image.fromarray(train_ids).save(f"{labels}_labelTrainIds.png")


def test_the_table_of_ids() -> None:
    assert TRAIN_IDS == OFFICIAL
    assert list(CLASSES)[OFFICIAL[24]] == "person"
    assert list(CLASSES)[OFFICIAL[31]] == "train"
    assert CLASSES["road"] == (128, 64, 128)


def test_label_ids_become_classes(tmp_path: Path) -> None:
    scene(tmp_path, "train", "aachen", "000000_000019")
    scene(tmp_path, "train", "ulm", "000000_000019")
    data = Cityscapes(tmp_path, "train")
    assert [data.name(i) for i in range(len(data))] == [
        "aachen_000000_000019_leftImg8bit",
        "ulm_000000_000019_leftImg8bit",
    ]
    assert data[0][1].tolist() == [[*(OFFICIAL[i] for i in range(34)), 255]]
    assert (len(data.classes), len(set(data.palette)), data.ignore_index) == (19, 19, 255)


def test_train_ids_are_taken_where_they_exist(tmp_path: Path) -> None:
    converted = scene(tmp_path, "train", "aachen", "000000_000019")
    other = scene(tmp_path, "train", "aachen", "000001_000019")
    convert(converted)
    with pytest.raises(UserError, match=r"000001_000019_gtFine_labelTrainIds.png \(1 of 2"):
        Cityscapes(tmp_path, "train")
    convert(other)
    assert Cityscapes(tmp_path, "train")[1][1].tolist() == [[18, *[255] * 34]]


def test_coarse_labels_and_sums(tmp_path: Path) -> None:
    scene(tmp_path, "train", "aachen", "000000_000019")
    scene(tmp_path, "train", "aachen", "000000_000019", kind="gtCoarse")
    scene(tmp_path, "train_extra", "erlangen", "000000_000000", kind="gtCoarse")
    coarse = Cityscapes(tmp_path, "train+train_extra", coarse=True)
    assert len(coarse) == 2
    assert coarse[1][1][0, 7] == 0


def test_the_test_split_ignores_every_pixel(tmp_path: Path) -> None:
    labels = scene(tmp_path, "test", "berlin", "000000_000019")
    Image.fromarray(np.array([[0, 1, 2, 3, *[0] * 31]], np.uint8)).save(f"{labels}_labelIds.png")
    assert (Cityscapes(tmp_path, "test")[0][1] == 255).all()


def test_what_is_missing_is_said_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        Cityscapes(tmp_path / "nowhere", "train")
    image = "leftImg8bit/train/NAME_leftImg8bit.png beside "
    for words in ("nowhere is no folder", image, "gtFine/train/", "cityscapes-dataset.com"):
        assert words in str(caught.value)
    assert "\n" not in str(caught.value)
    scene(tmp_path, "train", "aachen", "000000_000019")
    with pytest.raises(UserError, match=r"leftImg8bit/val is no folder.*_gtFine_labelIds.png"):
        Cityscapes(tmp_path, "val")
    with pytest.raises(UserError, match=r"no split 'valid': expected train, val, test"):
        Cityscapes(tmp_path, "valid")


def test_polygons_alone_want_converting(tmp_path: Path) -> None:
    labels = scene(tmp_path, "train", "aachen", "000000_000019")
    Path(f"{labels}_labelIds.png").unlink()
    with pytest.raises(UserError, match=f"run bpkd data prepare cityscapes {tmp_path}$"):
        Cityscapes(tmp_path, "train")
    convert(labels)
    assert len(Cityscapes(tmp_path, "train")) == 1


def test_a_root_one_level_too_low(tmp_path: Path) -> None:
    scene(tmp_path, "train", "aachen", "000000_000019")
    with pytest.raises(UserError, match=rf"did you mean data.root={tmp_path}\?$"):
        Cityscapes(tmp_path / "leftImg8bit", "train")
