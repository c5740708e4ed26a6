"""Sliding windows against the whole image, and against averages made by hand."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor, nn

from bpkd.inference.windows import averaged, build_inference, predict, slide, whole
from bpkd.networks.base import SegOutput
from bpkd.recipe.sections import Evaluation


class PixelWise(nn.Module):
    """Logits that depend on nothing but the pixel."""

    def __init__(self) -> None:
        super().__init__()
        self.sizes: list[tuple[int, ...]] = []

    def forward(self, images: Tensor) -> SegOutput:
        self.sizes.append(tuple(images.shape[-2:]))
        return SegOutput(torch.cat([images, images**2], dim=1), {})


class Counting(nn.Module):
    """Each call's logits are its number: 1, 2, 3..."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0

    def forward(self, images: Tensor) -> SegOutput:
        self.calls += 1
        return SegOutput(torch.full((len(images), 1, 1, 1), float(self.calls)), {})


@pytest.mark.parametrize("size", [(12, 17), (8, 8), (9, 30), (3, 5)])
@pytest.mark.parametrize(
    ("window", "stride"),
    [((8, 8), (5, 5)), ((8, 6), (8, 6)), ((4, 8), (1, 3)), ((99, 99), (66, 66))],
)
def test_windows_do_not_matter_to_a_pixel_wise_network(
    size: tuple[int, int], window: tuple[int, int], stride: tuple[int, int]
) -> None:
    images = torch.rand(2, 3, *size, dtype=torch.float64)
    network = PixelWise()
    torch.testing.assert_close(slide(network, images, window, stride), whole(network, images))
    assert torch.equal(predict(network, images), whole(network, images).argmax(1))
    expected = (min(size[0], window[0]), min(size[1], window[1]))
    assert set(network.sizes[:-3]) <= {expected}


def test_the_last_window_ends_at_the_border() -> None:
    network = PixelWise()
    slide(network, torch.zeros(1, 3, 10, 9), (4, 4), (3, 3))
    assert network.sizes == [(4, 4)] * 9  # rows 0-4, 3-7, 6-10; columns 0-4, 3-7, 5-9


def test_a_window_larger_than_the_image_is_the_image() -> None:
    network = PixelWise()
    slide(network, torch.zeros(1, 3, 6, 20), (8, 8), (6, 6))
    assert network.sizes == [(6, 8)] * 3
    network = PixelWise()
    slide(network, torch.zeros(1, 3, 6, 7), (8, 8), (6, 6))
    assert network.sizes == [(6, 7)]


def test_overlaps_are_averaged() -> None:
    # Columns 0-4 (call 1), 2-6 (2), 3-7 (3); each call is resized from one value.
    logits = slide(Counting(), torch.zeros(1, 3, 2, 7), (2, 4), (1, 2))
    assert logits.shape == (1, 1, 2, 7)
    row = [1.0, 1.0, 1.5, 2.0, 2.5, 2.5, 3.0]
    assert logits[0, 0].tolist() == [row, row]


def test_logits_below_the_image_size_are_resized_by_window() -> None:
    class Coarse(nn.Module):
        def forward(self, images: Tensor) -> SegOutput:
            return SegOutput(nn.functional.avg_pool2d(images, 4), {})

    images = torch.rand(1, 3, 8, 16)
    parts = [whole(Coarse(), images[..., :8]), whole(Coarse(), images[..., 8:])]
    torch.testing.assert_close(slide(Coarse(), images, (8, 8), (8, 8)), torch.cat(parts, dim=-1))


class Recording(nn.Module):
    """Two classes at half the images' size, from brightness and place; remembers the images."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[Tensor] = []

    def forward(self, images: Tensor) -> SegOutput:
        self.seen.append(images)
        left = torch.linspace(0, 1, images.shape[-1], dtype=images.dtype).expand_as(images[:, :1])
        both = torch.cat([images.mean(1, keepdim=True) * 5, left], dim=1)
        return SegOutput(nn.functional.avg_pool2d(both, 2, ceil_mode=True), {})


def by_hand(images: Tensor, sizes: list[tuple[int, int]], flips: tuple[bool, ...]) -> Tensor:
    """Mean over sizes and flips of the probabilities at the images' own size."""
    shares = []
    for size in sizes:
        resized = nn.functional.interpolate(images, size, mode="bilinear")
        for flip in flips:
            view = resized.flip(-1) if flip else resized
            logits = nn.functional.interpolate(Recording()(view).logits, size, mode="bilinear")
            logits = nn.functional.interpolate(logits, images.shape[-2:], mode="bilinear")
            share = logits.softmax(1)
            shares.append(share.flip(-1) if flip else share)
    return torch.stack(shares).mean(0)


def test_views_are_averaged_as_probabilities() -> None:
    images = torch.rand(2, 3, 12, 18)
    network = Recording()
    found = averaged(network, images, scales=[0.5, 1.0, 1.75], flip=True)
    sizes = [(6, 9), (12, 18), (21, 31)]  # int(18 * 1.75) = 31
    torch.testing.assert_close(found, by_hand(images, sizes, (False, True)))
    assert [tuple(seen.shape[-2:]) for seen in network.seen] == [s for s in sizes for _ in (0, 1)]
    torch.testing.assert_close(found.sum(1), torch.ones(2, 12, 18))
    assert not torch.allclose(found, by_hand(images, sizes, (False,)), atol=1e-3)
    assert not torch.allclose(found, by_hand(images, sizes[1:2], (False, True)), atol=1e-3)


def test_the_base_size_comes_before_and_goes_after() -> None:
    """As ADE20K's (2048, 512): the short side becomes 512, the result has the image's size."""
    images = torch.rand(1, 3, 10, 15)
    network = Recording()
    found = averaged(network, images, base_size=(80, 20))
    assert network.seen[0].shape[-2:] == (20, 30)
    logits = nn.functional.interpolate(network(network.seen[0]).logits, (20, 30), mode="bilinear")
    expected = nn.functional.interpolate(logits, (10, 15), mode="bilinear")
    torch.testing.assert_close(found, expected)  # one view: logits, no probabilities
    network = Recording()
    averaged(network, images, base_size=(80, 20), scales=[0.5, 1.5])
    assert [tuple(seen.shape[-2:]) for seen in network.seen] == [(10, 15), (30, 45)]


def test_windows_slide_over_each_view() -> None:
    images = torch.rand(1, 3, 8, 12)
    sliding = partial(slide, window=(6, 6), stride=(4, 4))
    network = Recording()
    averaged(network, images, sliding, scales=[1, 2])
    assert {tuple(seen.shape[-2:]) for seen in network.seen} == {(6, 6)}
    assert len(network.seen) == 2 * 3 + 4 * 6  # rows x columns of 8 x 12, and of 16 x 24


def test_a_mirrored_view_that_agrees_changes_nothing() -> None:
    images = torch.rand(1, 3, 6, 8)
    flipped = averaged(PixelWise(), images, flip=True)
    torch.testing.assert_close(flipped, whole(PixelWise(), images).softmax(1))


def test_what_the_recipe_asks_for() -> None:
    """Nothing asked, nothing paid: the very function that was used before."""
    assert build_inference(Evaluation()) is whole
    assert build_inference(Evaluation(mode="slide")).func is slide  # type: ignore[attr-defined]
    images = torch.rand(1, 3, 8, 12)
    for asked, forwards in (
        ({"flip": True}, 2),
        ({"scales": [0.5, 1.0, 1.5]}, 3),
        ({"base_size": (16, 16)}, 1),
        ({"flip": True, "mode": "slide", "window": (8, 6), "stride": (8, 6)}, 4),
    ):
        network = Recording()
        predict(network, images, build_inference(Evaluation.model_validate(asked)))
        assert len(network.seen) == forwards, asked


@pytest.mark.parametrize("wrong", [{"scales": []}, {"scales": [0]}, {"base_size": [512]}])
def test_impossible_views(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Evaluation.model_validate(wrong)


def test_predictions_need_no_gradient() -> None:
    classes = predict(PixelWise(), torch.rand(1, 3, 4, 4, requires_grad=True))
    assert classes.dtype == torch.int64
    assert not classes.requires_grad


@pytest.mark.parametrize("held", [1, 60, 400])
@pytest.mark.parametrize("size", [(12, 17), (9, 30)])
def test_what_is_held_at_once_changes_nothing(
    monkeypatch: pytest.MonkeyPatch, held: int, size: tuple[int, int]
) -> None:
    images, network = torch.rand(2, 3, *size), Blurring()
    inference = partial(slide, window=(8, 6), stride=(5, 4))
    expected = (
        inference(network, images),
        predict(network, images),
        predict(network, images, inference),
    )
    assert torch.equal(expected[0].argmax(1), expected[2])
    monkeypatch.setattr("bpkd.inference.windows._HELD", held)
    assert torch.equal(inference(network, images), expected[0])
    assert torch.equal(predict(network, images), expected[1])
    assert torch.equal(predict(network, images, inference, torch.uint8).long(), expected[2])


class Blurring(nn.Module):
    """Logits of 7 classes at half the size: what lies beside a pixel counts."""

    def forward(self, images: Tensor) -> SegOutput:
        pooled = nn.functional.avg_pool2d(images, 2, ceil_mode=True)
        return SegOutput(torch.cat([pooled, pooled.flip(1), pooled[:, :1] ** 2], dim=1), {})


def test_bytes_are_converted_by_the_window() -> None:
    images = torch.randint(256, (1, 3, 9, 30), dtype=torch.uint8)
    for inference in (whole, partial(slide, window=(8, 6), stride=(5, 4)), averaged):
        found = predict(Blurring(), images, inference)
        assert torch.equal(found, predict(Blurring(), images / 255, inference))
