"""Preprocessing against MMSegmentation 1.2.2: sizes, normalised and padded images, labels.

Its numbers for IoU, from the same source, are in ``tests/metrics/test_confusion.py``.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from bpkd.datasets.ade20k import ADE20K
from bpkd.datasets.transforms import base_factor, rescaled_size, to_float, training_transform
from bpkd.networks.base import SegNetwork

DATA = Path(__file__).parent / "data"
SIZES = json.loads((DATA / "preprocess.json").read_text())
#: A training transform that changes nothing but the size, by padding.
STILL: dict[str, Any] = {
    "scale": (1, 1),
    "flip": 0,
    "photometric": False,
    "cat_max_ratio": 1,
    "antialias": False,
}


@pytest.fixture
def arrays() -> dict[str, Any]:
    return dict(np.load(DATA / "preprocess.npz"))


@pytest.fixture
def ade(tmp_path: Path, arrays: dict[str, Any]) -> ADE20K:
    """The reference's image and labels as ADE20K's only pair."""
    for folder, array in (
        ("images", arrays["image_bgr_hwc"][..., ::-1]),
        ("annotations", arrays["seg_raw"]),
    ):
        (tmp_path / folder / "training").mkdir(parents=True)
        Image.fromarray(np.ascontiguousarray(array)).save(
            tmp_path / folder / "training" / "one.png"
        )
    return ADE20K(tmp_path, "train")


@pytest.mark.parametrize("case", SIZES["rescale_size"])
def test_sizes_with_the_aspect_kept(case: dict[str, list[int]]) -> None:
    width, height = case["wh"]
    assert list(rescaled_size((height, width), case["scale"])) == case["new_wh"][::-1]
    assert rescaled_size((height, width), case["scale"][::-1]) == rescaled_size(
        (height, width), case["scale"]
    )


@pytest.mark.parametrize("case", SIZES["rescale_size"])
def test_training_counts_its_scale_from_these_sizes(case: dict[str, list[int]]) -> None:
    """At scale 1 the whole image, resized, fills the corner of a crop that is larger."""
    width, height = (side // 8 for side in case["wh"])
    base = [side // 8 for side in case["scale"]]
    transform = training_transform(300, **STILL, base_size=base, ignore_index=9)
    labels = torch.zeros(height, width, dtype=torch.uint8)
    _, found = transform(torch.zeros(3, height, width, dtype=torch.uint8), labels)
    rows, columns = (found == 0).any(1).sum().item(), (found == 0).any(0).sum().item()
    expected = [side * base_factor((height, width), base) for side in (height, width)]
    assert [rows, columns] == pytest.approx(expected, abs=0.51)
    assert (found[:rows, :columns] == 0).all() and (found == 0).sum() == rows * columns


def test_labels_from_the_file_to_the_batch(ade: ADE20K, arrays: dict[str, Any]) -> None:
    image, labels = ade[0]
    assert np.array_equal(labels.numpy(), arrays["seg_reduce_zero_label"])
    _, padded = training_transform((32, 40), **STILL)(image, labels)
    assert np.array_equal(padded[None].numpy(), arrays["seg_padded"])


def test_what_the_backbone_sees(ade: ADE20K, arrays: dict[str, Any]) -> None:
    """Normalised inside the network, after the padding; and there the padding is 0 all the same."""

    class Backbone(nn.Module):
        def forward(self, images: Tensor) -> list[Tensor]:
            self.seen = images
            return [images]

    class Head(nn.Module):
        def forward(self, maps: list[Tensor]) -> tuple[Tensor, Tensor]:
            return maps[0], maps[0]

    backbone = Backbone()
    image, _ = training_transform((32, 40), **STILL)(*ade[0])
    SegNetwork(backbone, Head())(image[None])
    expected = torch.from_numpy(arrays["inputs_normalized_padded"])
    torch.testing.assert_close(backbone.seen, expected, rtol=0, atol=2e-6)
    assert (backbone.seen[expected == 0] == 0).all()  # the padding, exactly
    SegNetwork(backbone, Head())(to_float(ade[0][0])[None])  # as evaluation gives it
    torch.testing.assert_close(backbone.seen, expected[..., :24, :31], rtol=0, atol=2e-6)
