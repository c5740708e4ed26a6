"""Random colours: exact where no chance is left, and their chances in numbers."""

from __future__ import annotations

import colorsys

import numpy as np
import pytest
import torch
from torch import Tensor
from torchvision.transforms.v2 import functional as F

from bpkd.datasets import photometric
from bpkd.datasets.photometric import adjust_hue_and_saturation, photometric_distortion


def test_hue_and_saturation_against_colorsys_and_torchvision() -> None:
    torch.manual_seed(0)
    image = torch.rand(3, 40, 50)
    image[:, 0] = image[:1, 0]  # a row of greys
    image[:, 1] = torch.eye(3)[:, torch.arange(50) % 3]  # pure colours
    torch.testing.assert_close(
        adjust_hue_and_saturation(image, 0.08, 1), F.adjust_hue(image, 0.08), atol=1e-5, rtol=0
    )
    found = adjust_hue_and_saturation(image, -0.05, 1.4)
    for y, x in ((0, 3), (1, 1), (7, 9), (30, 20)):
        hue, saturation, value = colorsys.rgb_to_hsv(*image[:, y, x].tolist())
        expected = colorsys.hsv_to_rgb((hue - 0.05) % 1, min(1, saturation * 1.4), value)
        assert found[:, y, x].tolist() == pytest.approx(expected, abs=1e-5)


def test_photometric_distortion_in_numbers() -> None:
    torch.manual_seed(0)
    mid = torch.tensor([0.5, 0.4, 0.3]).reshape(3, 1, 1)
    found = torch.stack([photometric_distortion(mid).flatten() for _ in range(2000)])
    assert found.min() >= 0 and found.max() <= 1
    # Untouched: brightness, contrast, saturation and hue all miss, one in 16.
    untouched = (found - mid.flatten()).abs().amax(1) < 1e-6
    assert untouched.float().mean() == pytest.approx(1 / 16, abs=0.02)
    # The largest channel is touched by brightness and contrast alone, so half the rest of the
    # time not at all; no more than (0.5 + 32/255) * 1.5, no less than (0.5 - 32/255) * 0.5.
    value = found.amax(1)
    assert ((value - 0.5).abs() < 1e-6).float().mean() == pytest.approx(1 / 4, abs=0.035)
    assert 0.85 < value.max() <= (0.5 + 32 / 255) * 1.5
    assert (0.5 - 32 / 255) * 0.5 <= value.min() < 0.25
    # Black knows no saturation or hue, and contrast only scales what brightness adds.
    black = torch.stack([photometric_distortion(torch.zeros(3, 1, 1)) for _ in range(1000)])
    assert 0.15 < black.max() <= 32 / 255 * 1.5
    hues = torch.tensor([colorsys.rgb_to_hsv(*colour)[0] for colour in found.tolist()])
    own = colorsys.rgb_to_hsv(0.5, 0.4, 0.3)[0]
    turned = (hues - own + 0.5) % 1 - 0.5
    assert -0.12 < turned.min() < -0.08  # clipping turns hues a little too
    assert 0.08 < turned.max() < 0.12


def test_the_order_of_the_distortions(monkeypatch: pytest.MonkeyPatch) -> None:
    """Brightness; contrast; saturation and hue; or contrast last, as a coin falls."""
    orders: list[list[str]] = []
    untouched = torch.full((3, 1, 1), 0.5)

    def contrast(image: Tensor) -> Tensor:
        orders[-1].append("contrast")
        return image

    def colours(image: Tensor, hue: float, saturation: float) -> Tensor:
        orders[-1].append("colours" if torch.equal(image, untouched) else "brightened, colours")
        return image

    monkeypatch.setattr(photometric, "_contrast", contrast)
    monkeypatch.setattr(photometric, "adjust_hue_and_saturation", colours)
    torch.manual_seed(0)
    for _ in range(800):
        orders.append([])
        photometric_distortion(untouched)
    count = {order: orders.count(list(order)) / 800 for order in set(map(tuple, orders))}
    # Colours are changed three times in four, and half of these brightened before; contrast, each
    # half of the time, first or last.
    for colour in ("colours", "brightened, colours"):
        assert count[("contrast", colour)] == pytest.approx(3 / 16, abs=0.05)
        assert count[(colour, "contrast")] == pytest.approx(3 / 16, abs=0.05)
    assert count[("contrast",)] == pytest.approx(1 / 4, abs=0.05)


def test_ranges_of_the_distortions(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each uniform over its range: 32 grey levels, 0.5 to 1.5, and 18 steps of 2 degrees."""
    factors: list[float] = []
    hues: list[float] = []

    def colours(image: Tensor, hue: float, saturation: float) -> Tensor:
        factors.append(saturation)
        hues.append(hue)
        return image

    monkeypatch.setattr(photometric, "adjust_hue_and_saturation", colours)
    torch.manual_seed(0)
    grey = torch.full((3, 1, 1), 0.4)
    values = torch.tensor([float(photometric_distortion(grey)[0, 0, 0]) for _ in range(3000)])
    brightness = (values - 0.4) * 255
    alone = brightness[(brightness.abs() > 1e-3) & (brightness.abs() < 32)]
    assert alone.min() < -29 and alone.max() > 29
    assert values.max() <= (0.4 + 32 / 255) * 1.5 and values.max() > 0.7
    for found, low, high, resting in ((factors, 0.5, 1.5, 1.0), (hues, -0.1, 0.1, 0.0)):
        drawn = torch.tensor([value for value in found if value != resting]).sort().values
        assert low <= drawn.min() and drawn.max() <= high
        # Half of 3000 draws. Kolmogorov and Smirnov: 1.63 / sqrt(1500) = 0.042.
        assert len(drawn) == pytest.approx(1500, abs=100)
        even = (drawn - low) / (high - low)
        assert (even - torch.linspace(0, 1, len(drawn))).abs().max() < 0.042


def eight_bit(image: np.ndarray, hue: int, saturation: float) -> np.ndarray:
    """The same in OpenCV's 8-bit HSV, hue in steps of 2 degrees: RGB (..., 3) -> RGB."""

    def to_hsv(rgb: np.ndarray) -> tuple[np.ndarray, ...]:
        found = np.array([colorsys.rgb_to_hsv(*pixel) for pixel in rgb.reshape(-1, 3) / 255])
        h, s, v = (found * [180, 255, 255]).round().T
        return h % 180, s, v

    def to_rgb(h: np.ndarray, s: np.ndarray, v: np.ndarray) -> np.ndarray:
        pixels = zip(h / 180, s / 255, v / 255, strict=True)
        return (np.array([colorsys.hsv_to_rgb(*pixel) for pixel in pixels]) * 255).round()

    h, s, v = to_hsv(image)
    stretched = to_rgb(h, np.trunc((s * saturation).clip(0, 255)), v)
    h, s, v = to_hsv(stretched)
    return to_rgb((h + hue) % 180, s, v).reshape(image.shape)


def test_colours_within_the_rounding_of_eight_bits() -> None:
    """What separates floats from MMSegmentation's chain of 8-bit conversions: its own rounding."""
    generator = torch.Generator().manual_seed(0)
    image = torch.randint(0, 256, (3, 12, 12), generator=generator, dtype=torch.uint8)
    for hue, saturation in ((-18, 0.5), (-7, 1.3), (0, 1.5), (18, 0.8)):
        found = adjust_hue_and_saturation(image / 255, 2 * hue / 360, saturation) * 255
        expected = eight_bit(image.permute(1, 2, 0).numpy(), hue, saturation)
        apart = np.abs(found.permute(1, 2, 0).numpy() - expected)
        assert apart.mean() < 1.2
        # A step of hue is 2 degrees, a thirtieth of the way from a channel's least to its most;
        # two conversions are off by half a step each: 8.5 of 255 at worst, and the rest by 1.
        assert apart.max() < 10


def test_the_image_that_is_given_stays_as_it_was() -> None:
    image = torch.rand(3, 8, 9)
    before = image.clone()
    for seed in range(20):
        torch.manual_seed(seed)
        photometric_distortion(image)
    assert torch.equal(image, before)
