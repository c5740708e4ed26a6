"""ADE20K: the challenge's layout, void and the 150 classes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bpkd.datasets.ade20k import ADE20K, CLASSES, PALETTE
from bpkd.errors import UserError


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "ADEChallengeData2016"
    for folder, name in (("training", "ADE_train_00000001"), ("validation", "ADE_val_00000001")):
        for kind in ("images", "annotations"):
            (root / kind / folder).mkdir(parents=True)
        # One image of the training set is a greyscale JPEG.
        mode = "L" if folder == "training" else "RGB"
        Image.new(mode, (151, 1)).save(root / "images" / folder / f"{name}.jpg")
        labels = Image.fromarray(np.arange(151, dtype=np.uint8)[None])
        labels.save(root / "annotations" / folder / f"{name}.png")
    (root / "objectInfo150.txt").write_text("Idx\tRatio\n")
    (root / "sceneCategories.txt").write_text("ADE_train_00000001 airport_terminal\n")
    return root


def test_every_value(root: Path) -> None:
    data = ADE20K(root, "train")
    image, labels = data[0]
    assert image.shape == (3, 1, 151)
    assert labels.tolist() == [[255, *range(150)]]
    assert data.name(0) == "ADE_train_00000001"


def test_splits(root: Path) -> None:
    assert ADE20K(root, "val").name(0) == ADE20K(root, "validation").name(0) == "ADE_val_00000001"
    assert len(ADE20K(root, "train+val")) == 2
    with pytest.raises(UserError, match="no split 'test': expected train, val"):
        ADE20K(root, "test")
    with pytest.raises(UserError, match=r"images/training is no folder.*sceneparsing"):
        ADE20K(root.parent, "train")


def test_values_beyond_150_are_errors(root: Path) -> None:
    file = root / "annotations/validation/ADE_val_00000001.png"
    Image.fromarray(np.full((1, 151), 151, np.uint8)).save(file)
    with pytest.raises(UserError, match="label value 151"):
        ADE20K(root, "val")[0]


def test_classes_and_colours() -> None:
    assert len(CLASSES) == len(set(CLASSES)) == len(PALETTE) == 150
    # (index in objectInfo150.txt, from 1, name, colour in the challenge's toolkit)
    for number, name, colour in (
        (1, "wall", (120, 120, 120)),
        (3, "sky", (6, 230, 230)),
        (8, "bed", (204, 5, 255)),
        (13, "person", (150, 5, 61)),
        (21, "car", (0, 102, 200)),
        (67, "flower", (255, 0, 0)),
        (81, "bus", (255, 0, 245)),
        (128, "bicycle", (255, 245, 0)),
        (150, "flag", (92, 0, 255)),
    ):
        assert (CLASSES[number - 1], PALETTE[number - 1]) == (name, colour)
    shared = [
        name for name, colour in zip(CLASSES, PALETTE, strict=True) if PALETTE.count(colour) > 1
    ]
    assert shared == ["road", "skyscraper"]
