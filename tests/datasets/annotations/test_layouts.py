"""Where people put masks: every common arrangement pairs, and nothing else does."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bpkd.datasets import camvid
from bpkd.datasets.annotated import Annotated
from bpkd.datasets.annotations.catalogue import recognised
from bpkd.datasets.annotations.tree import Tree
from bpkd.datasets.folder import Folder
from bpkd.datasets.preparing import prepare
from bpkd.errors import UserError
from tests import exports
from tests.commands import done, refused
from tests.pictures import save


def street(file: Path, index: int = 0) -> None:
    exports.photo(file, index)


@pytest.mark.parametrize(
    ("image", "mask"),
    [
        ("images/{}.jpg", "masks/{}.png"),
        ("images/train/{}.jpg", "labels/train/{}.png"),
        ("train/images/{}.jpg", "train/masks/{}.png"),
        ("train/{}.jpg", "trainannot/{}.png"),
        ("train/{}.png", "train_labels/{}_L.png"),
        ("{}.jpg", "{}_mask.png"),
        ("{}_sat.jpg", "{}_mask.png"),
        ("img/{}.jpeg", "Ground Truth/{}.tif"),
        ("photos/a/{}.jpg", "annotations/a/{}.png"),
        ("pictures/{}.jpg", "other/gt/{}-seg.png"),
    ],
)
def test_pairs_are_found(image: str, mask: str, tmp_path: Path) -> None:
    for index in range(4):
        street(tmp_path / image.format(exports.name(index)), index)
        save(tmp_path / mask.format(exports.name(index)), exports.labels(index))
    data = Annotated(tmp_path, "all")
    assert (data.format.name, len(data), list(data.remarks)[2:]) == ("index-masks", 4, [])
    for index in range(4):
        assert (data[index][1].numpy() == exports.labels(index)).all()


def test_camvid_is_known_by_its_folders(tmp_path: Path) -> None:
    for split in ("train", "val", "test"):
        street(tmp_path / split / "0001.png")
        save(tmp_path / f"{split}annot" / "0001.png", np.arange(48 * 32).reshape(32, 48) % 12)
    data = Annotated(tmp_path, "train")
    assert dict(zip(data.classes, data.palette, strict=True)) == camvid.CLASSES
    assert data[0][1].unique().tolist() == [*range(11), 255]
    save(tmp_path / "valannot/0001.png", np.full((32, 48), 12))
    assert Annotated(tmp_path, "train").classes[0] == "class_0"


def test_folders_that_look_like_masks_by_their_words_alone(tmp_path: Path) -> None:
    # A shop of masks, and images in a folder that speaks of segmentation.
    for index in range(3):
        street(tmp_path / f"segmentation_data/images/mask_shop_{index}x.jpg", index)
        save(tmp_path / f"segmentation_data/masks/mask_shop_{index}x.png", exports.labels(index))
    assert len(Annotated(tmp_path, "all")) == 3


@pytest.mark.parametrize(
    ("mask", "classes"),
    [
        ("masks/car/{}.png masks/road/{}.png", ["background", "car", "road"]),
        ("masks/{}_car.png masks/{}_road.png", ["background", "car", "road"]),
        ("masks/{}/car.png masks/{}/road_1.png", ["background", "car", "road"]),
        ("masks/{}_1.png masks/{}_2.png", ["background", "object"]),
    ],
)
def test_several_masks_an_image(mask: str, classes: list[str], tmp_path: Path) -> None:
    for index in range(3):
        street(tmp_path / f"images/{exports.name(index)}.jpg", index)
        for file, box in zip(mask.split(), (exports.car(index), exports.ROAD), strict=True):
            save(tmp_path / file.format(exports.name(index)), exports.mask(box) * 255)
    data = Annotated(tmp_path, "all")
    assert (data.format.name, data.classes) == ("several-masks", classes)
    objects = Annotated(tmp_path, "all", task="instance")[0][1]
    assert sorted(objects.masks.sum((1, 2)).tolist()) == [12 * 14, 48 * 16]


def test_objects_with_names_that_mean_nothing(tmp_path: Path) -> None:
    # As the nuclei of the Data Science Bowl 2018: ID/images/ID.png, ID/masks/HASH.png.
    for index in range(2):
        street(tmp_path / f"id{index}/images/id{index}.png", index)
        for number, box in enumerate(((0, 0, 4, 4), (8, 8, 12, 14), (20, 20, 30, 30))):
            save(tmp_path / f"id{index}/masks/f{index}{number}ab.png", exports.mask(box) * 255)
    data = Annotated(tmp_path, "all", task="instance")
    assert data.classes == ["object"]
    assert sorted(data[0][1].masks.sum((1, 2)).tolist()) == [16, 24, 100]


def test_grey_between_black_and_white_is_no_mask(tmp_path: Path) -> None:
    exports.several_masks(tmp_path)
    file = tmp_path / "masks/car/street_0.png"
    save(file, np.linspace(0, 255, 48 * 32).reshape(32, 48))
    data = Annotated(tmp_path, "all")
    with pytest.raises(UserError, match="holds several values"):
        data[0]


def test_jpeg_masks_are_refused(tmp_path: Path) -> None:
    for index in range(2):
        street(tmp_path / f"images/{index}.jpg", index)
        street(tmp_path / f"masks/{index}.jpg", index)
    with pytest.raises(UserError, match="is a JPEG, which blurs masks"):
        Annotated(tmp_path, "all")


def test_blurred_colours_are_refused(tmp_path: Path) -> None:
    for index in range(2):
        street(tmp_path / f"images/{index}.jpg", index)
        street(tmp_path / f"masks/{index}.png", index)
    with pytest.raises(UserError, match="colours: they were blurred by resizing or saving"):
        Annotated(tmp_path, "all")


def test_layers_of_arrays(tmp_path: Path) -> None:
    for index in range(3):
        street(tmp_path / f"images/{exports.name(index)}.jpg", index)
        layers = np.stack([exports.mask(exports.ROAD), exports.mask(exports.car(index))])
        file = tmp_path / f"masks/{exports.name(index)}.npy"
        file.parent.mkdir(exist_ok=True)
        np.save(file, layers if index else np.moveaxis(layers, 0, -1))
    tree = Tree(tmp_path)
    assert recognised(tree).name == "npy-masks"
    data = Annotated(tmp_path, "all", classes=["road", "car", "rest"], background="rest")
    for index in range(3):
        expected = (exports.labels(index).astype(int) - 1) % 3
        assert (data[index][1].numpy() == expected).all()


def test_palettes_with_transparency(tmp_path: Path) -> None:
    for index in range(3):
        street(tmp_path / f"images/{exports.name(index)}.jpg", index)
        file = tmp_path / f"masks/{exports.name(index)}.png"
        exports.png(file, exports.labels(index), palette=True, transparency=0)
    data = Annotated(tmp_path, "all")
    assert data.format.name == "transparent-masks"
    assert data.classes == ["background", "class_1", "class_2"]
    assert (data[1][1].numpy() == exports.labels(1)).all()


def test_annotations_become_label_maps(tmp_path: Path) -> None:
    exports.cvat(tmp_path / "photos")
    target = tmp_path / "labels"
    said = done("data", "prepare", "annotations", tmp_path / "photos", "--out", target)
    assert "6 label maps written" in said and f"set data.root={target}" in said
    for split, count in (("train", 5), ("val", 1)):
        data, direct = Folder(target, split), Annotated(tmp_path / "photos", split)
        assert (len(data), data.classes) == (count, direct.classes)
        for index in range(count):
            assert (data[index][0] == direct[index][0]).all()
            assert (data[index][1] == direct[index][1]).all()
    line = refused("data", "prepare", "annotations", tmp_path / "photos")
    assert "give --out, a folder elsewhere" in line
    with pytest.raises(UserError, match="give --out"):
        prepare("annotations", tmp_path / "photos", tmp_path / "photos/labels")


def test_the_list_of_formats_is_the_table_of_the_documentation() -> None:
    page = Path(__file__).parents[3] / "docs/annotations.md"
    assert done("data", "formats", "--markdown").strip() in page.read_text(encoding="utf-8")
    assert "coco: COCO JSON" in done("data", "formats")
