"""The walk over a data set: counts that can be checked by hand, and every kind of broken pair."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from bpkd.datasets.checking.examining import Examiner, Findings, Problem
from bpkd.datasets.checking.opening import opened
from bpkd.datasets.checking.splits import open_split
from bpkd.datasets.checking.summary import check
from bpkd.datasets.folder import Folder
from bpkd.datasets.scenes import Scenes
from tests.pictures import save


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two pairs, 4x2 and 6x4 pixels; the class "tree" is nowhere."""
    (tmp_path / "classes.csv").write_text("name\nroad\ncar\ntree\n")
    save(tmp_path / "images/train/a.png", np.full((2, 4, 3), (10, 20, 30)))
    save(tmp_path / "labels/train/a.png", [[0, 0, 0, 1], [0, 0, 0, 255]])
    save(tmp_path / "images/train/b.png", np.full((4, 6, 3), (30, 20, 10)))
    save(tmp_path / "labels/train/b.png", np.zeros((4, 6)))
    return tmp_path


def test_the_numbers_of_a_split(root: Path) -> None:
    found = check(Folder(root, "train"), "train", colours=True)
    assert found.images == 2 and not found.problems
    assert found.pixels.tolist() == [30, 1, 0]
    assert found.occurs.tolist() == [2, 1, 0]
    assert found.shares() == [30 / 31, 1 / 31, 0]
    assert found.absent() == ["tree"]
    # In a.png the car, and the two road pixels beside it; the ignored pixel is none.
    assert (found.boundary, found.ignored) == (3, 1)
    assert found.extent() == {"min": (2, 4), "median": (3, 5), "max": (4, 6)}
    # 8 pixels of red 10 and 24 of red 30: mean 25, variance 8/32 * 24/32 * 20^2 = 75.
    assert found.mean_and_deviation()[0] == pytest.approx((25, 75**0.5))
    assert found.mean_and_deviation()[1] == pytest.approx((20, 0))


def test_workers_change_nothing() -> None:
    data = Scenes("val", size=(32, 40), count=5)
    alone, three = (check(data, "val", workers=workers) for workers in (0, 3))
    assert alone.as_json() == three.as_json()


def test_numbers_as_json(root: Path) -> None:
    content = json.loads(json.dumps(check(Folder(root, "train"), "train").as_json()))
    assert content["classes"][1] == {"name": "car", "pixels": 1, "share": 1 / 31, "images": 1}
    assert content["sizes"][1] == {"height": 4, "width": 6, "images": 1}
    assert content["mean_and_deviation"] == []


def test_every_broken_pair_is_named_and_the_walk_goes_on(root: Path) -> None:
    image = np.zeros((2, 4, 3))
    for stem in ("missing", "damaged", "small", "unknown", "jpeg"):
        save(root / f"images/train/{stem}.png", image)
    save(root / "labels/train/jpeg.jpg", image[..., 0])
    (root / "images/train/damaged.png").write_bytes(b"\x89PNG\r\n\x1a\n and then nothing")
    save(root / "labels/train/damaged.png", np.zeros((2, 4)))
    save(root / "labels/train/small.png", np.zeros((1, 4)))
    save(root / "labels/train/unknown.png", [[7, 7, 0, 0], [0, 0, 0, 9]])
    split = open_split(opened(str(root)), "train")
    found = check(split.data, "train", known=split.problems, workers=2)
    told = {problem.name: problem.message for problem in found.problems}
    assert found.images == 2 and set(told) == {"missing", "damaged", "small", "unknown", "jpeg"}
    for name, message in told.items():
        assert str(root / "images/train" / name) in message or str(root / "labels") in message
        assert "\n" not in message
    assert "no label map" in told["missing"] and "cannot be read" in told["damaged"]
    assert "4x2" in told["small"] and "4x1" in told["small"]
    assert "value 7" in told["unknown"] and "1 more" in told["unknown"]
    assert "jpeg.jpg is a JPEG, which blurs label values; save label maps as PNG" in told["jpeg"]


class Own:
    """A data set of the user's own, which checks nothing itself."""

    classes, palette, ignore_index = ["a", "b"], [(0, 0, 0), (9, 9, 9)], 255

    def __init__(self, *pairs: tuple[Tensor, Tensor] | Exception) -> None:
        self.pairs = pairs

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        pair = self.pairs[index]
        if isinstance(pair, Exception):
            raise pair
        return pair

    def name(self, index: int) -> str:
        return f"number {index}"


IMAGE, LABELS = torch.zeros(3, 2, 2, dtype=torch.uint8), torch.zeros(2, 2, dtype=torch.long)


@pytest.mark.parametrize(
    ("pair", "words"),
    [
        ((IMAGE.float(), LABELS), "torch.float32 (3, 2, 2): expected torch.uint8 (3, H, W)"),
        ((IMAGE, LABELS[None]), "(1, 2, 2): expected integers (H, W)"),
        ((IMAGE, LABELS.float()), "expected integers"),
        ((IMAGE, LABELS[:1]), "the image is 2x2 and its labels are 2x1 (width x height)"),
        ((IMAGE, LABELS + 2), "unknown label values 2 (4 pixels): expected 0 to 1"),
        ((IMAGE, LABELS - 1), "unknown label values -1"),
        ((IMAGE[:, :0], LABELS[:0]), "empty"),
        (ZeroDivisionError("by\nzero"), "cannot be read: ZeroDivisionError: by zero"),
    ],
)
def test_a_pair_that_breaks_the_contract(pair: Any, words: str) -> None:
    found = Examiner(Own(pair))(0)
    assert isinstance(found, Problem) and found.name == "number 0"
    assert words in found.message


def test_an_ignored_image_is_in_order() -> None:
    found = Examiner(Own((IMAGE, LABELS + 255)))(0)
    assert isinstance(found, Findings)
    assert (found.ignored, found.boundary, found.pixels.tolist()) == (4, 0, [0, 0])


def test_an_empty_data_set() -> None:
    one = check(Own(), "train", known=[Problem("a", "x/a.jpg has no label map")])
    assert [problem.name for problem in one.problems] == ["a"] and one.extent() == {}
