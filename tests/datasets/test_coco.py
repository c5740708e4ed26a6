"""COCO's instances: what is read, in which layouts, and what a broken file is met with."""

from __future__ import annotations

import copy
import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from pycocotools.coco import COCO as PyCOCO

from bpkd.datasets.coco import COCO
from bpkd.errors import UserError
from tests.coco_folders import annotation, content, write


def test_reads_polygons_run_lengths_crowds_and_boxes(tmp_path: Path) -> None:
    data = COCO(write(tmp_path, content()), "train")
    assert (data.classes, data.category_ids, data.task) == (["person", "kite"], [1, 90], "instance")
    assert [data.name(i) for i in range(3)] == ["a", "b", "c"] and data.image_ids == [7, 3, 9]
    assert len(data.palette) == 2 and len({*data.palette}) == 2
    image, found = data[0]
    assert image.shape == (3, 8, 12) and image.dtype == torch.uint8
    assert found.masks.shape == (2, 8, 12) and found.masks.dtype == torch.bool
    assert found.labels.tolist() == [1, 0] and found.crowd.tolist() == [False, True]
    assert found.boxes.tolist() == [[2.25, 1, 5.75, 5], [1, 0, 3, 8]]  # the file's
    assert found.areas is not None and found.areas.tolist() == [15.5, 16]
    assert found.masks[1].nonzero()[:, 1].unique().tolist() == [1, 2]
    _, bare = data[1]  # neither box nor area: those of the mask, in two parts
    assert bare.boxes.tolist() == [[0, 0, 12, 8]] and bare.areas is not None
    assert bare.areas.tolist() == [8]
    assert data[2][1].masks.shape == (0, 6, 8)


def test_masks_are_those_of_pycocotools(tmp_path: Path, capsys: Any) -> None:
    rng = np.random.default_rng(0)
    entries = content()
    for own in range(10, 40):
        corners = rng.random((rng.integers(1, 3), 5, 2)) * [14, 10] - 1  # some outside
        polygons = corners.reshape(len(corners), -1).tolist()
        entries["annotations"].append(annotation(own, 3, 1, polygons))
    data = COCO(write(tmp_path, entries), "train")
    theirs = PyCOCO(tmp_path / "annotations/instances_train2017.json")
    for index, image_id in enumerate(data.image_ids):
        expected = [theirs.annToMask(each) for each in theirs.loadAnns(theirs.getAnnIds(image_id))]
        masks = data[index][1].masks
        assert len(expected) == len(masks)
        for mask, their in zip(masks, expected, strict=True):
            assert (mask.numpy() == their).all()


def test_some_classes_in_an_order_of_their_own(tmp_path: Path) -> None:
    root = write(tmp_path, content())
    data = COCO(root, "train", classes=["kite"], palette=[[1, 2, 3]])
    assert (data.classes, data.category_ids, data.palette) == (["kite"], [90], [(1, 2, 3)])
    assert data[0][1].labels.tolist() == [0] and data[1][1].labels.tolist() == []
    assert COCO(root, "train", classes=["kite", "person"])[0][1].labels.tolist() == [0, 1]


def test_what_can_be_learnt_from(tmp_path: Path) -> None:
    entries = content()
    for entry in entries["images"][:2]:
        entry |= {"height": 32, "width": 40}
    entries["annotations"][1]["segmentation"] = {"size": [32, 40], "counts": [40, 40, 1200]}
    root = write(tmp_path, entries)
    assert COCO(root, "train").trainable == [0, 1]
    assert COCO(root, "train", classes=["person"]).trainable == [1]  # in the other, a crowd alone
    entries["images"][1]["height"] = 31
    assert COCO(write(tmp_path, entries), "train").trainable == [0]


@pytest.mark.parametrize("images", ["val2017", "images/val2017"])
@pytest.mark.parametrize("split", ["val", "val2017"])
def test_the_official_layouts(tmp_path: Path, images: str, split: str) -> None:
    assert len(COCO(write(tmp_path, content(), "val2017", images), split)) == 3


def test_ones_own_paths_and_joined_splits(tmp_path: Path) -> None:
    write(tmp_path, content(), "mine", "photos")
    data = COCO(tmp_path, "mine", images="photos")
    assert len(data) == 3
    write(tmp_path, content(), "more", "photos")
    both = COCO(tmp_path, "mine+more", images="photos")
    assert len(both) == 6 and len(both[4][1].labels) == 1
    other = content()
    other["categories"][0]["name"] = "dragon"
    write(tmp_path, other, "more", "photos")
    with pytest.raises(UserError, match="has other categories than"):
        COCO(tmp_path, "mine+more", images="photos")


def test_can_be_given_to_workers(tmp_path: Path) -> None:
    data = COCO(write(tmp_path, content()), "train")
    again = pickle.loads(pickle.dumps(data))
    assert torch.equal(again[0][1].masks, data[0][1].masks)


def test_a_photo_that_lies_on_its_side(tmp_path: Path) -> None:
    root = write(tmp_path, content())
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by a quarter when it is shown
    Image.new("RGB", (12, 8)).save(root / "train2017/a.png", exif=exif)
    assert COCO(root, "train")[0][0].shape == (3, 8, 12)  # as its entry says
    Image.new("RGB", (8, 12)).save(root / "train2017/a.png", exif=exif)
    assert COCO(root, "train")[0][0].shape == (3, 8, 12)  # as it is shown


def broken(change: Any) -> dict[str, Any]:
    entries = copy.deepcopy(content())
    change(entries)
    return entries


def first(key: str, value: Any) -> Any:
    return lambda entries: entries["annotations"][0].update({key: value})


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (first("segmentation", [[0, 0, 4, 4]]), "annotation 1 has a polygon of 2 points"),
        (first("segmentation", [[0, 0, 4, 4, 1]]), "a polygon of 5 numbers: expected an x and a y"),
        (first("segmentation", [["x"] * 6]), "expected numbers"),
        (first("segmentation", [[1e12] * 6]), "expected numbers"),
        (first("segmentation", []), "segmentation []: expected polygons or RLE"),
        (first("segmentation", None), "segmentation None: expected polygons or RLE"),
        (first("segmentation", {"size": [12, 8], "counts": "04"}), "[12, 8] and its image is"),
        (first("segmentation", {"size": [8, 12], "counts": [4, 5]}), "do not add up to its"),
        (first("bbox", [1, 2, 3]), "has the bbox [1, 2, 3]: expected [x, y, width, height]"),
        (first("category_id", 5), "category_id 5, which is not among the categories"),
        (first("image_id", 4), "annotation 1 is of image 4, which is not listed"),
        (first("id", 2), "annotation 2 is listed twice"),
        (lambda e: e["images"].append(e["images"][0]), "image 7 (a.png) is listed twice"),
        (lambda e: e["images"].append(e["images"][0] | {"id": 8}), "8 (a.png) is listed twice"),
        (lambda e: e["images"][0].pop("height"), "image 7 (a.png) has no height and width"),
        (lambda e: e["images"][0].pop("file_name"), "has no file_name"),
        (lambda e: e["images"][0].update(file_name="z.png"), "train2017/z.png does not exist"),
    ],
)  # fmt: skip
def test_what_is_broken_is_refused_or_dropped(tmp_path: Path, change: Any, words: str) -> None:
    root = write(tmp_path, broken(change))
    with pytest.raises(UserError) as refusal:
        COCO(root, "train")
    message = str(refusal.value)
    assert words in message and "\n" not in message and "drop_broken=true" in message
    data = COCO(root, "train", drop_broken=True)
    assert sum(len(data[i][1].labels) for i in range(len(data))) in (1, 2, 3)
    assert len(data) in (2, 3)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (json.dumps(content())[:-40], "is no whole JSON (line 1): it may have been cut off"),
        ("", "is no whole JSON"),
        ("[]", "is a list, as files of predictions are"),
        ('{"images": []}', "not in COCO's instances format: it has no list 'annotations'"),
        ('{"images": 3, "annotations": [], "categories": []}', "it has no list 'images'"),
        ('{"images": [], "annotations": [], "categories": []}', "lists no categories"),
        ('{"images": [], "annotations": [], "categories": [{"id": 1}]}', "expected a whole id and"),
        (
            json.dumps(content() | {"categories": content()["categories"] * 2}),
            "is listed twice: expected one of each",
        ),
    ],
)
def test_what_is_no_such_file_is_refused(tmp_path: Path, text: str, words: str) -> None:
    root = write(tmp_path, text)
    with pytest.raises(UserError) as refusal:
        COCO(root, "train", drop_broken=True)
    assert words in str(refusal.value) and "instances_train2017.json" in str(refusal.value)


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    root = write(tmp_path, content())
    with pytest.raises(
        UserError, match=r"instances_val2017.json does not exist.*there is .*train2017"
    ):
        COCO(root, "val")
    with pytest.raises(UserError, match="is no folder: set it"):
        COCO(root / "nowhere", "train")
    with pytest.raises(UserError, match=r"photos is no folder: expected the images of"):
        COCO(root, "train", images="photos")
    with pytest.raises(UserError, match="no category 'kit'; did you mean 'kite'"):
        COCO(root, "train", classes=["kit"])
    with pytest.raises(UserError, match="different names"):
        COCO(root, "train", classes=["kite", "kite"])
    with pytest.raises(UserError, match="2 colours for 1 classes"):
        COCO(root, "train", classes=["kite"], palette=[[0, 0, 0], [1, 1, 1]])


def test_what_only_reading_shows(tmp_path: Path) -> None:
    entries = content()
    entries["annotations"][0]["segmentation"] = {"size": [8, 12], "counts": "04"}
    data = COCO(write(tmp_path, entries), "train")
    with pytest.raises(UserError, match=r"a\.png: annotation 1 has run lengths that make no mask"):
        data[0]
    Image.new("RGB", (5, 5)).save(tmp_path / "train2017/b.png")
    with pytest.raises(UserError, match=r"b\.png is 5x5 and its annotations are for 12x8"):
        data[1]
