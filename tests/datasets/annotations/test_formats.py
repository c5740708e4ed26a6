"""Every format, as its tool writes it, is read as the same label maps and the same objects."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from bpkd.datasets.annotated import Annotated
from bpkd.datasets.annotations.catalogue import formats, recognised
from bpkd.datasets.annotations.tree import Tree
from bpkd.errors import UserError
from tests import exports

WITH_OBJECTS = [each.name for each in formats() if each.instances]


def wanted(data: Any, name: str, index: int) -> list[list[int]]:
    """The labels of an image by the order of the classes that the format gives."""
    labels = exports.labels(index)
    if name == "binary-masks":
        return (labels == 2).astype(int).tolist()
    order = [data.classes.index(_called(each, data.classes)) for each in exports.CLASSES]
    return np.array(order)[labels].tolist()


def _called(name: str, classes: list[str]) -> str:
    return name if name in classes else f"_{name}_"


def test_there_is_an_export_of_each_format() -> None:
    assert set(exports.EXPORTS) == {each.name for each in formats()}


@pytest.mark.parametrize("name", exports.EXPORTS)
def test_a_format_is_recognised_and_read(name: str, tmp_path: Path) -> None:
    exports.EXPORTS[name](tmp_path / "daten")
    data = Annotated(tmp_path / "daten", "all")
    assert data.format.name == name
    assert len(data) == exports.COUNT
    for place in range(len(data)):
        image, labels = data[place]
        index = int(data.name(place).split("_")[1][0])
        assert image.shape == (3, exports.HEIGHT, exports.WIDTH)
        assert labels.tolist() == wanted(data, name, index), (name, index)
        assert labels.dtype == torch.uint8


@pytest.mark.parametrize("name", WITH_OBJECTS)
def test_objects_are_told_apart(name: str, tmp_path: Path) -> None:
    exports.EXPORTS[name](tmp_path)
    data = Annotated(tmp_path, "all", task="instance")
    assert "background" not in data.classes and "_background_" not in data.classes
    masked = name in ("cvat-masks", "voc")
    for place in range(len(data)):
        found = data[place][1]
        index = int(data.name(place).split("_")[1][0])
        by_class: dict[str, Any] = {}
        for label, mask, box in zip(found.labels, found.masks, found.boxes, strict=True):
            by_class.setdefault(data.classes[label], []).append((mask.numpy(), box.tolist()))
        assert set(by_class) == {"road", "car"}
        [(car, box)] = by_class["car"]
        assert box == list(exports.car(index))
        assert (car == exports.mask(exports.car(index))).all()
        road = np.any([mask for mask, _ in by_class["road"]], axis=0)
        whole = exports.labels(index) == 1 if masked else exports.mask(exports.ROAD)
        assert (road == whole).all()
        assert not found.crowd.any() and found.scores is None


@pytest.mark.parametrize("name", ["roboflow", "index-masks", "colour-masks"])
def test_formats_without_objects_say_so(name: str, tmp_path: Path) -> None:
    exports.EXPORTS[name](tmp_path)
    with pytest.raises(UserError, match="hold no instances: use task: semantic"):
        Annotated(tmp_path, "all", task="instance")


@pytest.mark.parametrize(
    "name", ["coco", "cvat", "cvat-masks", "voc", "roboflow", "supervisely", "yolo"]
)
def test_splits_are_those_of_the_export(name: str, tmp_path: Path) -> None:
    exports.EXPORTS[name](tmp_path)
    val = Annotated(tmp_path, "val")
    assert [val.name(i).split("_")[1][0] for i in range(len(val))] == ["2"]
    assert len(Annotated(tmp_path, "train")) == exports.COUNT - 1
    assert len(Annotated(tmp_path, "train+val")) == exports.COUNT
    with pytest.raises(UserError, match="has no split 'test': it has train, val"):
        Annotated(tmp_path, "test")


def test_no_file_is_opened_to_find_names_that_are_given(tmp_path: Path) -> None:
    exports.labelme(tmp_path)
    found = recognised(Tree(tmp_path)).read(Tree(tmp_path), ["background", "road", "car"])
    assert list(found.classes) == []
    assert len(Annotated(tmp_path, "all", classes=["background", "car", "road"])) == exports.COUNT


def test_classes_in_another_order_joined_and_left_out(tmp_path: Path) -> None:
    for name in ("coco", "roboflow", "voc", "cvat-masks"):
        root = tmp_path / name
        exports.EXPORTS[name](root)
        background = "_background_" if name == "voc" else "background"
        given = ["car", background]
        ignored = Annotated(root, "val", classes=given, ignore=["road"], background=background)
        expected = np.array([1, 255, 0])[exports.labels(2)]
        assert (ignored[0][1].numpy() == expected).all(), name
        joined = Annotated(
            root, "val", classes=given, class_map={"road": background}, background=background
        )
        assert (joined[0][1].numpy() == np.array([1, 1, 0])[exports.labels(2)]).all(), name


@pytest.mark.parametrize("name", ["roboflow", "voc", "index-masks"])
def test_classes_of_masks_may_be_renamed(name: str, tmp_path: Path) -> None:
    exports.EXPORTS[name](tmp_path)
    data = Annotated(tmp_path, "all", classes=["Boden", "Weg", "car"], background=None)
    index = int(data.name(0).split("_")[1][0])
    assert (data[0][1].numpy() == exports.labels(index)).all()


@pytest.mark.parametrize("name", ["coco", "labelme", "voc"])
def test_a_name_that_is_no_class(name: str, tmp_path: Path) -> None:
    exports.EXPORTS[name](tmp_path)
    data = Annotated(tmp_path, "all", classes=["road", "truck"], background=None)
    with pytest.raises(UserError, match=r"class 'car', which is not among|which no class has"):
        for index in range(len(data)):
            data[index]


def test_objects_of_given_classes(tmp_path: Path) -> None:
    for name in ("voc", "cvat-masks", "labelme"):
        exports.EXPORTS[name](tmp_path / name)
        data = Annotated(tmp_path / name, "all", classes=["car", "road"], task="instance")
        index = int(data.name(0).split("_")[1][0])
        found = data[0][1]
        assert found.boxes[found.labels == 0].tolist() == [list(exports.car(index))]


def test_mistakes_in_a_recipe(tmp_path: Path) -> None:
    exports.labelme(tmp_path)

    def said(**arguments: Any) -> str:
        with pytest.raises(UserError) as caught:
            Annotated(tmp_path, **{"split": "all", **arguments})
        return str(caught.value)

    assert "it has none; give `list`" in said(split="train")
    assert "background 'background' is not among `classes`" in said(classes=["road", "car"])
    assert said(classes=["road", "car"], background="rd").startswith("background 'rd' is not")
    assert "'lorry' is no class" in said(class_map={"car": "lorry"})
    assert "class_map: 'kar' is no name in the annotations; did you mean 'car'?" in said(
        class_map={"kar": "road"}
    )
    assert "ignore: 'rode' is no name in the annotations" in said(ignore=["rode"])
    assert "ignore_index 1 is a class: take one from 3 on" in said(ignore_index=1)
    assert "is no list of a split (No such file" in said(list=str(tmp_path / "{split}.txt"))
    (tmp_path / "all.txt").write_text("street_0.jpg\nstreet_9.jpg\n")
    assert "names 'street_9.jpg', which is no annotated image" in said(
        list=str(tmp_path / "{split}.txt")
    )
