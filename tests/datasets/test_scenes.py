"""The embedded scenes: the same bits everywhere, and as hard as they claim to be."""

from __future__ import annotations

import zlib

import pytest
import torch
from torch import Tensor
from torch.nn.functional import max_pool2d

from bpkd.datasets.painting import colours
from bpkd.datasets.scenes import Scenes
from bpkd.errors import UserError

IGNORE = 255


def crc(tensor: Tensor) -> int:
    return zlib.crc32(tensor.contiguous().numpy().tobytes())


@pytest.fixture(scope="module")
def train_labels() -> Tensor:
    scenes = Scenes("train", count=100)
    return torch.stack([scenes[i][1] for i in range(len(scenes))])


@pytest.mark.parametrize(
    ("split", "index", "size", "seed", "expected"),
    [
        ("train", 0, (96, 128), 0, (0x2E8DB241, 0x5CD3B140)),
        ("train", 399, (96, 128), 0, (0x155B0ED2, 0x70A31E6F)),
        ("val", 7, (97, 131), 0, (0x86862CDA, 0x977AEFD7)),
        ("test", 3, (192, 256), 5, (0x2B3DC6D2, 0xAE5FA831)),
    ],
)
def test_bits_are_pinned(split, index, size, seed, expected):
    image, labels = Scenes(split, size=size, seed=seed)[index]
    assert (crc(image), crc(labels)) == expected


def test_order_of_access_and_count_do_not_matter():
    forwards, backwards = Scenes(count=4), Scenes(count=400)
    ahead = [forwards[i] for i in range(4)]
    behind = [backwards[i] for i in reversed(range(4))][::-1]
    for (image, labels), (other_image, other_labels) in zip(ahead, behind, strict=True):
        assert torch.equal(image, other_image)
        assert torch.equal(labels, other_labels)


def test_writing_into_a_scene_does_not_spoil_the_next_epoch():
    scenes = Scenes(count=1)
    image, labels = scenes[0]
    before = crc(image), crc(labels)
    image.zero_()
    labels.zero_()
    assert tuple(map(crc, scenes[0])) == before


def test_splits_and_seeds_and_indices_are_disjoint():
    sets = [Scenes(split, size=(32, 48), count=20) for split in ("train", "val", "test")]
    sets.append(Scenes("train", size=(32, 48), count=20, seed=1))
    seen = [crc(labels) for scenes in sets for _, labels in map(scenes.__getitem__, range(20))]
    assert len(set(seen)) == 80


@pytest.mark.parametrize("size", [(32, 32), (64, 64), (97, 131), (192, 256), (60, 240)])
def test_sizes(size):
    image, labels = Scenes(size=size)[0]
    assert image.shape == (3, *size)
    assert labels.shape == size
    assert image.dtype == labels.dtype == torch.uint8
    assert len(labels.unique()) >= 6


def test_a_bigger_size_shows_the_same_scene():
    small, large = (Scenes(size=size)[11][1] for size in ((96, 128), (192, 256)))
    other = Scenes(size=(192, 256))[12][1]
    assert (large[::2, ::2] == small).float().mean() > 0.9
    assert (other[::2, ::2] == small).float().mean() < 0.8


def test_every_class_is_common(train_labels):
    scenes = Scenes()
    for label, name in enumerate(scenes.classes):
        where = train_labels == label
        assert where.flatten(1).any(1).float().mean() >= 0.2, name
        assert where.float().mean() >= 0.003, name


def test_labels_are_classes_or_ignored(train_labels):
    assert set(train_labels.unique().tolist()) == {*range(10), IGNORE}
    assert 0.005 <= (train_labels == IGNORE).float().mean() <= 0.06


def test_share_of_boundary_pixels(train_labels):
    labels = train_labels[:, None].float()
    edges = max_pool2d(labels, 3, 1, 1) != -max_pool2d(-labels, 3, 1, 1)
    assert 0.08 <= edges.float().mean() <= 0.25


def test_poles_are_thin_and_fences_have_holes(train_labels):
    # Erosion: the starts of the runs of four pole pixels side by side.
    poles = (train_labels == 6).float()[:, None]
    wide = -max_pool2d(-poles, (1, 4), 1)
    assert poles.sum() > 0
    assert wide.sum() < 0.1 * poles.sum()
    # A hole: a pixel that is no fence, with fence within 4 pixels on its left and on its right.
    fence = (train_labels == 5).float()[:, None]
    left, right = max_pool2d(fence[..., :-5], (1, 4), 1), max_pool2d(fence[..., 5:], (1, 4), 1)
    between = fence[..., 4:-4]
    holes = (left[..., : between.shape[-1]] > 0) & (right[..., : between.shape[-1]] > 0)
    assert (holes & (between == 0)).sum() > 0.3 * fence.sum()


def test_colour_alone_does_not_tell_the_classes_apart():
    scenes = Scenes(count=40)
    pairs = [scenes[i] for i in range(40)]
    bins = torch.cat([(image // 32).long().flatten(1) for image, _ in pairs], dim=1)
    colour = bins[0] * 64 + bins[1] * 8 + bins[2]
    labels = torch.cat([labels.flatten() for _, labels in pairs]).long()
    valid = labels != IGNORE
    counts = torch.bincount(colour[valid] * 10 + labels[valid], minlength=5120).view(512, 10)
    # The best guess from the colour, made on the very pixels it is judged by.
    best = torch.zeros(10, 10, dtype=torch.long).index_add_(0, counts.argmax(1), counts)
    hits = best.diag().float()
    iou = hits / (best.sum(0) + best.sum(1) - hits).clamp(min=1)
    assert iou.mean() < 0.35


def test_attributes_and_protocol():
    scenes = Scenes("val", count=3)
    assert (len(scenes), len(Scenes("val")), len(Scenes("test"))) == (3, 60, 120)
    assert len(scenes.classes) == len(set(scenes.palette)) == 10
    assert scenes.ignore_index == IGNORE
    assert [getattr(colours, name.upper()) for name in scenes.classes] == list(range(10))
    assert scenes.name(12) == "scene-val-00012"
    assert sum(1 for _ in scenes) == 3
    with pytest.raises(IndexError, match=r"outside 0\.\.2"):
        scenes[3]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"split": "valid"}, "'valid' is unknown; choose one of train, val, test"),
        ({"size": (96,)}, r"size \(96,\) is not \(rows, columns\)"),
        ({"size": (31, 128)}, "at least 32"),
        ({"size": 96}, "size 96 is not"),
        ({"count": 0}, "count is 0"),
        ({"seed": -1}, "seed is -1"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(UserError, match=message):
        Scenes(**arguments)
