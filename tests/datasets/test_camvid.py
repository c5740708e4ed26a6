"""CamVid: the layout, the classes and void."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bpkd.datasets.camvid import CamVid
from bpkd.errors import UserError


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for split, ending in (("train", "jpg"), ("val", "png")):
        (tmp_path / split).mkdir()
        (tmp_path / f"{split}annot").mkdir()
        Image.new("RGB", (12, 1)).save(tmp_path / split / f"{split}_1.{ending}")
        labels = Image.fromarray(np.arange(12, dtype=np.uint8)[None])
        labels.save(tmp_path / f"{split}annot" / f"{split}_1.png")
    return tmp_path


def test_classes_and_void(root: Path) -> None:
    data = CamVid(root, split="train")
    image, labels = data[0]
    assert image.shape == (3, 1, 12)
    assert labels.tolist() == [[*range(11), 255]]
    assert len(data.classes) == len(set(data.palette)) == 11
    named = dict(zip(data.classes, data.palette, strict=True))
    assert named["road"] == (128, 64, 128)
    assert data.classes[8] == "car"
    assert data.classes[10] == "bicyclist"


def test_splits(root: Path) -> None:
    both = CamVid(root, split="train+val")
    assert [both.name(i) for i in range(len(both))] == ["train_1", "val_1"]
    with pytest.raises(UserError, match=r"test is no folder: expected .*annot/NAME"):
        CamVid(root, split="test")
