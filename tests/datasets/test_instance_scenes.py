"""Painted instances: the same bits each time, and as hard as they say."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import pytest
import torch
from scipy import ndimage

from bpkd.datasets.instance_scenes import InstanceScenes
from bpkd.datasets.instances import areas_of, boxes_of
from bpkd.errors import UserError

COUNT = 24


@pytest.fixture(scope="module")
def scenes() -> list[Any]:
    data = InstanceScenes("val")
    return [data[i] for i in range(COUNT)]


def test_the_same_bits_on_every_machine() -> None:
    image, instances = InstanceScenes("train", size=(96, 128))[7]
    digest = hashlib.sha256(image.numpy().tobytes() + instances.masks.numpy().tobytes())
    assert digest.hexdigest()[:16] == "dc123656ae6786d2"
    again = InstanceScenes("train", size=(96, 128))[7]
    assert torch.equal(again[0], image) and torch.equal(again[1].masks, instances.masks)


def test_splits_and_seeds_differ() -> None:
    images = [
        InstanceScenes(split, size=(48, 64), seed=seed)[index][0]
        for split, seed, index in (("train", 0, 0), ("val", 0, 0), ("train", 1, 0), ("train", 0, 1))
    ]
    for i, one in enumerate(images):
        assert not any(torch.equal(one, other) for other in images[i + 1 :])
    assert [len(InstanceScenes(s)) for s in ("train", "val", "test")] == [400, 60, 120]


def test_masks_are_exact_and_apart(scenes: list[Any]) -> None:
    for image, found in scenes:
        assert image.shape == (3, 256, 256) and image.dtype == torch.uint8
        assert found.masks.shape[1:] == (256, 256) and 1 <= len(found.labels) <= 14
        assert found.masks.sum(0).max() == 1  # what is hidden belongs to no mask
        assert found.masks.flatten(1).sum(1).min() >= 20
        assert torch.equal(found.boxes, boxes_of(found.masks)) and not found.crowd.any()


def test_of_all_sizes_and_classes_touching_and_split(scenes: list[Any]) -> None:
    masks = [mask.numpy() for _, found in scenes for mask in found.masks]
    areas = torch.cat([areas_of(found) for _, found in scenes]).numpy()
    labels = torch.cat([found.labels for _, found in scenes])
    assert labels.bincount(minlength=5).min() >= 10
    sides = torch.cat([found.boxes[:, 2:] - found.boxes[:, :2] for _, found in scenes]).amax(1)
    assert sides.min() < 12 and sides.max() > 150
    parts = np.array([ndimage.label(mask)[1] for mask in masks])
    split = [(parts[where] > 1).mean() for where in (areas < 256, areas > 2304)]
    assert split[0] < 0.3 and split[1] > 0.5  # large ones are split
    touching = [
        bool((ndimage.binary_dilation(one) & other).any())
        for _, found in scenes
        for i, one in enumerate(found.masks.numpy())
        for other in found.masks.numpy()[i + 1 :]
    ]
    assert sum(touching) > COUNT


def test_extents_can_be_chosen() -> None:
    scenes = InstanceScenes("train", size=(96, 96), count=12, objects=(1, 3), extents=(40, 60))
    sides = torch.cat([scenes[i][1].boxes[:, 2:] - scenes[i][1].boxes[:, :2] for i in range(12)])
    # An extent is that of a whole object; what covers it and the frame take some off.
    assert len(sides) >= 12 and 40 * 0.7 < sides.amax(1).median() <= 62


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"split": "dev"}, "split 'dev' is unknown"),
        ({"size": (16, 64)}, "at least 32"),
        ({"size": 64}, "expected \\(rows, columns\\)"),
        ({"count": 0}, "count is 0"),
        ({"objects": (5, 2)}, "objects"),
        ({"seed": -1}, "seed is -1"),
        ({"extents": (4, 20)}, "extents"),
        ({"extents": (30, 20)}, "extents"),
    ],
)
def test_arguments_out_of_range(arguments: Any, words: str) -> None:
    with pytest.raises(UserError, match=words):
        InstanceScenes(**arguments)
    with pytest.raises(IndexError):
        InstanceScenes("val")[60]


def test_boxes_of_masks_that_are_empty() -> None:
    masks = torch.zeros(2, 5, 6, dtype=torch.bool)
    masks[1, 4, 5] = True
    assert boxes_of(masks).tolist() == [[0, 0, 0, 0], [5, 4, 6, 5]]
