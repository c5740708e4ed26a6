"""Exports that the tools' own libraries wrote are read as what was painted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bpkd.datasets.annotated import Annotated
from tests import exports

REAL = Path(__file__).parent / "real"
NAMES = sorted(file.name for file in REAL.iterdir() if file.is_dir() and file.name[0] != "_")
#: supervision's polygons go through the pixels of an outline: the last row and column lie outside.
SHRUNK = ("coco", "yolo")


def mask(name: str, box: tuple[int, int, int, int]) -> Any:
    left, top, right, bottom = box
    return exports.mask((left, top, right - 1, bottom - 1) if name in SHRUNK else box)


def painted(name: str, index: int) -> Any:
    wanted = np.zeros((exports.HEIGHT, exports.WIDTH), int)
    wanted[mask(name, exports.ROAD)] = 1
    wanted[mask(name, exports.car(index))] = 2
    return wanted


@pytest.mark.parametrize("name", NAMES)
def test_a_tools_own_export_is_read(name: str) -> None:
    data = Annotated(REAL / name, "all")
    assert data.format.name == name.removesuffix("-datumaro")
    assert len(data) == 2
    for place in range(len(data)):
        index = int(Path(data.name(place)).stem.split("_")[1][0])
        order = np.array([data.classes.index(each) for each in exports.CLASSES])
        assert (data[place][1].numpy() == order[painted(name, index)]).all(), data.name(place)


@pytest.mark.parametrize("name", NAMES)
def test_its_objects_are_told_apart(name: str) -> None:
    data = Annotated(REAL / name, "all", task="instance")
    for place in range(len(data)):
        found = data[place][1]
        index = int(Path(data.name(place)).stem.split("_")[1][0])
        [car] = [
            each.numpy()
            for label, each in zip(found.labels, found.masks, strict=True)
            if data.classes[label] == "car"
        ]
        assert (car == mask(name, exports.car(index))).all()
