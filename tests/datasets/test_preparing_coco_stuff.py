"""COCO-Stuff: from where its archives were unpacked into the layout, by links."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bpkd.datasets.coco_stuff import COCOStuff
from bpkd.datasets.preparing import prepare
from bpkd.errors import UserError
from tests.commands import done
from tests.pictures import save


def unpacked(root: Path, images: str, maps: str) -> Path:
    for split, value in (("train2017", 3), ("val2017", 5)):
        for name in "ab":
            save(root / images / split / f"{name}.jpg", np.zeros((2, 3, 3)))
            save(root / maps / split / f"{name}.png", np.full((2, 3), value))
    return root


def files(folder: Path) -> dict[Path, bytes]:
    """What lies there that is no link."""
    return {
        file: file.read_bytes()
        for file in folder.rglob("*")
        if file.is_file() and file.resolve() == file
    }


LAYOUTS = [
    ("", "stuffthingmaps"),
    ("", "stuffthingmaps_trainval2017"),
    ("", ""),
    ("", "annotations"),
    ("images", "stuffthingmaps"),
    ("images", ""),
]


@pytest.mark.parametrize("out", [None, "out"])
@pytest.mark.parametrize(("images", "maps"), LAYOUTS)
def test_links_into_the_layout(tmp_path: Path, images: str, maps: str, out: str | None) -> None:
    source = unpacked(tmp_path.resolve() / "coco", images, maps)
    before = files(source)
    root = source if out is None else tmp_path / out
    report = prepare("coco-stuff", source, out and root)
    assert report.lines[0] == f"ready: nothing needs converting, set data.root={root}"
    place = source / maps / "val2017"
    linked = f"{root}/annotations/val2017: links to {place}, nothing was moved"
    assert (linked in report.lines) == (maps != "annotations" or out is not None)
    for split, value in (("train", 3), ("val", 5)):
        data = COCOStuff(root, split)
        assert [data.name(i) for i in range(len(data))] == ["a", "b"]
        assert data[0][1].unique().tolist() == [value]
    assert files(source) == before and not list(root.rglob("*.part"))
    again = prepare("coco-stuff", source, out and root)
    assert not any("links to" in line for line in again.lines)


@pytest.mark.parametrize("kind", ["images", "annotations"])
def test_images_and_label_maps_mixed_in_the_layout_itself(tmp_path: Path, kind: str) -> None:
    source = unpacked(tmp_path / "coco", kind, kind)
    with pytest.raises(UserError, match=r"holds images and label maps.* give --out FOLDER"):
        prepare("coco-stuff", source)
    assert [folder.name for folder in source.iterdir()] == [kind]
    done("data", "prepare", "coco_stuff", source, "--out", tmp_path / "out")
    assert len(COCOStuff(tmp_path / "out", "train+val")) == 4


def test_from_one_level_up_or_down(tmp_path: Path) -> None:
    source = unpacked(tmp_path / "data/coco", "images", "annotations")
    for place in ("images", "annotations", "..", "images/train2017"):
        line = prepare("coco-stuff", source / place).lines[0]
        assert Path(line.split("data.root=")[1]).samefile(source)


def test_one_line_says_which_archive_goes_where(tmp_path: Path) -> None:
    unpacked(tmp_path, "", "elsewhere")
    with pytest.raises(UserError) as caught:
        prepare("coco-stuff", tmp_path)
    line = str(caught.value)
    assert "it lacks annotations/train2017, annotations/val2017:" in line
    assert f"train2017.zip and val2017.zip (cocodataset.org) into {tmp_path}/images" in line
    assert (
        f"stuffthingmaps_trainval2017.zip (github.com/nightrome/cocostuff) into {tmp_path}" in line
    )
    assert not (tmp_path / "images").exists()


def test_what_stands_in_the_way(tmp_path: Path) -> None:
    unpacked(tmp_path, "", "stuffthingmaps")
    (tmp_path / "images/train2017").mkdir(parents=True)
    with pytest.raises(UserError, match=r"images/train2017 is in the way: there are no \.jpg"):
        prepare("coco-stuff", tmp_path)
    with pytest.raises(UserError, match="--overwrite has no use here"):
        prepare("coco-stuff", tmp_path, overwrite=True)
