"""VOC 2012: palette label maps, 255 round the objects, and SBD's labels beside them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bpkd.datasets.classes import bit_palette
from bpkd.datasets.voc import VOC
from bpkd.errors import UserError


def sample(voc: Path, name: str, **values: int) -> None:
    """An image and, for each folder given, a label map of one value with a border."""
    Image.new("RGB", (3, 1)).save(voc / f"JPEGImages/{name}.jpg")
    for folder, value in values.items():
        labels = Image.fromarray(np.array([[0, value, 255]], np.uint8))
        if folder == "SegmentationClass":
            labels.putpalette([channel for colour in bit_palette(256) for channel in colour])
        labels.save(voc / folder / f"{name}.png")


@pytest.fixture
def voc(tmp_path: Path) -> Path:
    voc = tmp_path / "VOCdevkit" / "VOC2012"
    folders = ("JPEGImages", "SegmentationClass", "SegmentationClassAug", "SegmentationObject")
    for folder in (*folders, "ImageSets/Segmentation", "ImageSets/Main"):
        (voc / folder).mkdir(parents=True)
    sample(voc, "2007_000032", SegmentationClass=1, SegmentationObject=7, SegmentationClassAug=2)
    sample(voc, "2007_000033", SegmentationClass=20)
    sample(voc, "2008_000008", SegmentationClassAug=13)
    sample(voc, "2009_000001")  # for detection only
    for split, names in (
        ("train", "2007_000032\n"),
        ("val", "2007_000033\n"),
        ("trainval", "2007_000032\n2007_000033\n"),
    ):
        (voc / f"ImageSets/Segmentation/{split}.txt").write_text(names)
    return voc


def test_palette_maps_and_borders(voc: Path) -> None:
    data = VOC(voc.parents[1], "trainval")
    assert [labels.tolist() for _, labels in (data[0], data[1])] == [[[0, 1, 255]], [[0, 20, 255]]]
    assert (len(data.classes), data.classes[1], data.classes[20]) == (21, "aeroplane", "tvmonitor")
    assert data.palette[15] == (192, 128, 128)
    assert len(set(data.palette)) == 21
    assert len(VOC(voc, "val")) == len(VOC(voc.parent, "val")) == 1


@pytest.mark.parametrize(
    ("file", "names"),
    [("trainaug", "2007_000032\n2008_000008\n"), ("aug", "2008_000008\n")],
)
def test_the_augmented_set(voc: Path, file: str, names: str) -> None:
    (voc / f"ImageSets/Segmentation/{file}.txt").write_text(names)
    data = VOC(voc, "train_aug")
    assert [data.name(i) for i in range(len(data))] == ["2007_000032", "2008_000008"]
    # Where both have labels, those of VOC count.
    assert [int(labels[0, 1]) for _, labels in (data[0], data[1])] == [1, 13]


def test_what_is_missing_is_said_in_one_line(voc: Path) -> None:
    with pytest.raises(UserError) as caught:
        VOC(voc, "train_aug")
    assert "trainaug.txt is no list" in str(caught.value)
    assert "bpkd data prepare voc" in str(caught.value)
    with pytest.raises(UserError, match="no split 'test'"):
        VOC(voc, "test")
