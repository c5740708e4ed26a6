"""Sliding windows against the whole image, and against averages made by hand."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from bpkd.inference import predict, slide, whole
from bpkd.networks.base import SegOutput


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


def test_predictions_need_no_gradient() -> None:
    classes = predict(PixelWise(), torch.rand(1, 3, 4, 4, requires_grad=True))
    assert classes.dtype == torch.int64
    assert not classes.requires_grad
