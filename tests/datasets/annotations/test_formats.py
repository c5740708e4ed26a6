"""Every format, as its tool writes it, is read as the same label maps and the same objects."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from bpkd.datasets.annotated import Annotated
from bpkd.datasets.annotations.catalogue import FORMATS, recognised
from bpkd.datasets.annotations.tree import Tree
from bpkd.errors import UserError
from tests import exports

WITH_OBJECTS = [each.name for each in FORMATS if each.instances]


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
    assert set(exports.EXPORTS) == {each.name for each in FORMATS}


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
