"""Pascal Context: VOC2010's folders, lists of the splits, 59 and 60 classes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bpkd.datasets.pascal_context import CLASSES, LABEL_IDS, PascalContext
from bpkd.errors import UserError

# Numbers among the 459 labels, in the order of the published conversion, which sorts them.
OFFICIAL_IDS = [
    2, 259, 260, 415, 324, 9, 258, 144, 18, 19, 22, 23, 397, 25, 284, 158, 159, 416, 33, 162, 420,
    454, 295, 296, 427, 44, 45, 46, 308, 59, 440, 445, 31, 232, 65, 354, 424, 68, 326, 72, 458, 34,
    207, 80, 355, 85, 347, 220, 349, 360, 98, 187, 104, 105, 366, 189, 368, 113, 115,
]  # fmt: skip


@pytest.fixture
def root(tmp_path: Path) -> Path:
    voc = tmp_path / "VOCdevkit" / "VOC2010"
    for folder in ("JPEGImages", "SegmentationClassContext", "ImageSets/SegmentationContext"):
        (voc / folder).mkdir(parents=True)
    for name in ("2008_000002", "2008_000003", "2010_006084"):
        Image.new("RGB", (60, 1)).save(voc / f"JPEGImages/{name}.jpg")
    for name in ("2008_000002", "2008_000003"):  # VOC has images that Context does not label
        labels = Image.fromarray(np.arange(60, dtype=np.uint8)[None])
        labels.save(voc / f"SegmentationClassContext/{name}.png")
    (voc / "ImageSets/SegmentationContext/train.txt").write_text("2008_000002\n")
    (voc / "ImageSets/SegmentationContext/val.txt").write_text("2008_000003\n")
    return tmp_path


def test_59_classes_ignore_the_background(root: Path) -> None:
    data = PascalContext(root, "train")
    assert data[0][1].tolist() == [[255, *range(59)]]
    assert len(data.classes) == len(set(data.palette)) == 59
    assert data.name(0) == "2008_000002"


def test_60_classes_with_the_background(root: Path) -> None:
    data = PascalContext(root, "val", background=True)
    assert data[0][1].tolist() == [[*range(60)]]
    assert data.classes == ["background", *CLASSES]
    assert data.palette[1:] == PascalContext(root, "val").palette


def test_root_may_be_either_folder(root: Path) -> None:
    for folder in (root / "VOCdevkit", root / "VOCdevkit/VOC2010"):
        assert len(PascalContext(folder, "train+val")) == 2


def test_the_order_of_the_classes() -> None:
    assert sorted(CLASSES) == CLASSES
    assert len(CLASSES) == 59
    assert list(LABEL_IDS) == sorted(OFFICIAL_IDS)
    numbers = dict(zip(CLASSES, LABEL_IDS, strict=True))
    assert (numbers["person"], numbers["tvmonitor"], numbers["wood"]) == (284, 427, 458)


def test_what_is_missing_is_said_in_one_line(root: Path) -> None:
    (root / "VOCdevkit/VOC2010/ImageSets/SegmentationContext/val.txt").unlink()
    with pytest.raises(UserError) as caught:
        PascalContext(root, "val")
    for words in ("val.txt is no list", "SegmentationClassContext/NAME.png", "prepare"):
        assert words in str(caught.value)
    assert "\n" not in str(caught.value)
    with pytest.raises(UserError, match=r"no split 'test'"):
        PascalContext(root, "test")
