"""The training transform: exact without chance, and its chances in numbers."""

from __future__ import annotations

import colorsys
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torchvision.transforms.v2 import functional as F

from bpkd.datasets import transforms
from bpkd.datasets.transforms import (
    TrainingTransform,
    adjust_hue_and_saturation,
    photometric_distortion,
    to_float,
    training_transform,
)
from bpkd.errors import UserError

PLAIN: dict[str, Any] = {"scale": (1, 1), "flip": 0, "photometric": False, "cat_max_ratio": 1}


def ramp(height: int, width: int) -> tuple[Tensor, Tensor]:
    """An image whose red and green tell each pixel's place, and labels in blocks of 8 columns."""
    image = torch.zeros(3, height, width, dtype=torch.uint8)
    image[0] = torch.arange(height)[:, None]
    image[1] = torch.arange(width)
    labels = (torch.arange(width) // 8).expand(height, width)
    return image, labels.to(torch.uint8)


def test_to_float() -> None:
    image = to_float(torch.tensor([0, 255], dtype=torch.uint8)[None, None])
    assert image.dtype == torch.float32
    assert image.flatten().tolist() == [0, 1]
    assert to_float(torch.tensor([[[0.5]]], dtype=torch.float64)).dtype == torch.float32


def test_a_plain_crop_is_a_window_of_the_original() -> None:
    image, labels = ramp(40, 60)
    torch.manual_seed(0)
    crops = [training_transform((10, 20), **PLAIN)(image, labels) for _ in range(50)]
    corners = set()
    for cropped, cropped_labels in crops:
        top, left = (cropped[:2, 0, 0] * 255).round().int().tolist()
        corners.add((top, left))
        window = (..., slice(top, top + 10), slice(left, left + 20))
        torch.testing.assert_close(cropped, image[window] / 255)
        assert torch.equal(cropped_labels, labels[window])
        assert cropped_labels.dtype == torch.uint8
    tops, lefts = zip(*corners, strict=True)
    assert len(corners) > 30
    assert min(tops) < 5 and max(tops) > 25 and max(tops) <= 30
    assert min(lefts) < 5 and max(lefts) > 35 and max(lefts) <= 40


@pytest.mark.parametrize("factor", [0.5, 0.73, 1.3, 2.0])
def test_image_and_labels_stay_aligned(factor: float) -> None:
    """Green is the column: where it is, the label must be."""
    image, labels = ramp(120, 200)
    torch.manual_seed(1)
    cropped, found = training_transform((50, 80), **PLAIN | {"scale": (factor, factor)})(
        image, labels
    )
    column = cropped[1] * 255
    inside = ((column + 0.5) % 8 - 4).abs() < 3  # away from the outlines
    assert inside.float().mean() > 0.5
    assert torch.equal(found[inside], ((column + 0.5) // 8)[inside].to(torch.uint8))
    step = (column[:, 1:] - column[:, :-1])[:, 2:-2].mean()
    assert step == pytest.approx(1 / factor, rel=0.03)


def test_labels_are_taken_from_the_middle_of_what_they_stand_for() -> None:
    labels = torch.arange(9, dtype=torch.uint8).expand(3, 9)
    image = torch.zeros(3, 3, 9, dtype=torch.uint8)
    _, found = training_transform((1, 3), **PLAIN | {"scale": (1 / 3, 1 / 3)})(image, labels)
    assert found.tolist() == [[1, 4, 7]]


def test_scale_is_uniform_over_its_range() -> None:
    image, labels = ramp(200, 200)
    transform = training_transform((60, 60), **PLAIN | {"scale": (0.5, 2)})
    torch.manual_seed(0)
    steps = []
    for _ in range(300):
        column = transform(image, labels)[0][1, 30] * 255
        steps.append(59 / float(column[-1] - column[0]))
    factors = torch.tensor(steps)
    assert 0.48 < factors.min() < 0.56
    assert 1.9 < factors.max() < 2.1
    # Mean and spread of a uniform distribution over [0.5, 2]: 1.25, 1.5 / sqrt(12) = 0.433.
    assert factors.mean() == pytest.approx(1.25, abs=0.08)
    assert factors.std() == pytest.approx(0.433, abs=0.05)


def test_scale_counts_from_the_base_size() -> None:
    """ADE20K's (2048, 512), an eighth of it, of an image of 100 x 150: by 64 / 100 first."""
    image, labels = ramp(100, 150)
    for base_size, factor in (((256, 64), 0.64), ((64, 256), 0.64), ((65, 65), 65 / 150)):
        settings = PLAIN | {"base_size": base_size, "scale": (1.5, 1.5)}
        column = training_transform((30, 40), **settings)(image, labels)[0][1, 10] * 255
        assert float((column[35] - column[5]) / 30) == pytest.approx(1 / (1.5 * factor), rel=0.03)


def test_scale_is_uniform_over_its_range_from_the_base_size() -> None:
    image, labels = ramp(250, 250)
    settings = PLAIN | {"base_size": (200, 125), "scale": (0.5, 2)}  # by 0.5, times 0.5 to 2
    transform = training_transform((60, 60), **settings)
    torch.manual_seed(0)
    steps = []
    for _ in range(300):
        column = transform(image, labels)[0][1, 30] * 255
        steps.append(49 / float(column[54] - column[5]))
    factors = torch.tensor(steps).sort().values
    # Kolmogorov and Smirnov: over 300 draws, 1.63 / sqrt(300) = 0.094 once in a hundred times.
    distance = ((factors - 0.25) / 0.75 - torch.linspace(0, 1, 300)).abs().max()
    assert distance < 0.094


def test_labels_are_never_blended() -> None:
    """Whatever the factor, only values that were there; and nothing antialiased."""
    labels = (torch.arange(60) // 7 % 2 * 200).to(torch.uint8).expand(60, 60)
    image = torch.zeros(3, 60, 60, dtype=torch.uint8)
    torch.manual_seed(0)
    transform = training_transform(24, scale=(0.5, 2), photometric=False)
    for _ in range(30):
        assert set(transform(image, labels)[1].unique().tolist()) <= {0, 200}


def test_antialias_by_choice() -> None:
    """Halved, a stripe of one column in four: the mean of two columns, or of a wider window."""
    image = (torch.arange(64) % 4 == 0).to(torch.uint8).mul(200).expand(3, 32, 64)
    labels = torch.zeros(32, 64, dtype=torch.uint8)
    settings = PLAIN | {"scale": (0.5, 0.5)}
    sharp = training_transform((16, 32), **settings, antialias=False)(image, labels)[0] * 255
    assert sharp[0, 5].round().tolist() == [100, 0] * 16
    smooth = training_transform((16, 32), **settings, antialias=True)(image, labels)[0] * 255
    assert smooth[0, 5, 1:-1].min() > 10 and smooth[0, 5, 1:-1].max() < 90


def test_a_small_image_is_padded_at_the_bottom_and_the_right() -> None:
    image, labels = ramp(6, 9)
    transform = training_transform((8, 12), **PLAIN | {"flip": 1, "ignore_index": 99})
    padded, padded_labels = transform(image, labels)
    torch.testing.assert_close(padded[:, :6, :9], image.flip(-1) / 255)
    assert torch.equal(padded_labels[:6, :9], labels.flip(-1))
    outside = torch.ones(8, 12, dtype=torch.bool)
    outside[:6, :9] = False
    assert (padded_labels[outside] == 99).all()
    torch.testing.assert_close(
        padded[:, outside], torch.tensor([0.485, 0.456, 0.406])[:, None].expand(3, 42)
    )
    half, _ = training_transform((8, 12), **PLAIN | {"scale": (0.5, 0.5)})(image, labels)
    assert (half[2] == 0).sum() == 3 * 4  # 6x9 halved; the padding's blue is above 0


def test_labels_keep_their_type_and_a_negative_ignore_index() -> None:
    image, labels = ramp(6, 9)
    labels = labels.int() + 1000
    _, padded = training_transform(12, **PLAIN | {"ignore_index": -1})(image, labels)
    assert padded.dtype == torch.int32
    assert set(padded.flatten().tolist()) == {-1, 1000, 1001}


def test_flip_rate() -> None:
    image, labels = ramp(2, 16)
    torch.manual_seed(0)
    transform = training_transform((2, 16), **PLAIN | {"flip": 0.3})
    flips = [transform(image, labels) for _ in range(400)]
    rate = sum(int(found[0, 0]) for _, found in flips) / 400
    assert rate == pytest.approx(0.3, abs=0.06)
    for flipped, found in flips[:20]:
        assert (flipped[1, 0, 0] > 0) == (found[0, 0] == 1)


@pytest.mark.parametrize("ignore_index", [255, -1])
def test_crops_avoid_windows_of_one_class(ignore_index: int) -> None:
    """One pixel column in twenty is a street of cars; the rest is road and ignored sky."""
    labels = torch.zeros(20, 400, dtype=torch.int32)
    labels[:, 190:210] = 1
    labels[:10] = ignore_index  # counts for nothing
    image = torch.zeros(3, 20, 400, dtype=torch.uint8)

    def mixed(cat_max_ratio: float) -> float:
        settings = PLAIN | {"cat_max_ratio": cat_max_ratio, "ignore_index": ignore_index}
        transform = training_transform((20, 40), **settings)
        torch.manual_seed(0)
        shares = []
        for _ in range(200):
            crop = transform(image, labels)[1]
            shares.append(float((crop == 1).sum() / (crop != ignore_index).sum()))
        return sum(0.25 < share < 0.75 for share in shares) / len(shares)

    # A window holds more than 1/4 cars at 39 of 361 places: one draw in 9.3. Of eleven draws, the
    # last of which is taken unseen, one hits with probability 1 - (1 - 39/361)^11 = 0.72.
    assert mixed(1.0) == pytest.approx(0.108, abs=0.06)
    assert mixed(0.75) == pytest.approx(0.72, abs=0.09)


def test_no_class_prevails_where_another_crop_can_be_had() -> None:
    """A third of the places shows nothing but road: eleven such draws in a row do not come."""
    labels = torch.zeros(20, 120, dtype=torch.uint8)
    labels[:, 60:] = torch.arange(60).div(5, rounding_mode="floor") % 3
    image = torch.zeros(3, 20, 120, dtype=torch.uint8)

    def greatest_shares(cat_max_ratio: float) -> Tensor:
        transform = training_transform((20, 20), **PLAIN | {"cat_max_ratio": cat_max_ratio})
        torch.manual_seed(0)
        crops = [transform(image, labels)[1] for _ in range(200)]
        return torch.stack([crop.flatten().bincount().amax() / crop.numel() for crop in crops])

    assert (greatest_shares(1.0) >= 0.75).float().mean() > 0.35
    assert (greatest_shares(0.75) < 0.75).all()


def test_crops_are_drawn_ten_times_more_and_then_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[bool] = []

    def never(self: TrainingTransform, labels: Tensor) -> bool:
        looks.append(False)
        return False

    monkeypatch.setattr(TrainingTransform, "_is_mixed", never)
    training_transform(4, scale=(1, 1))(*ramp(20, 20))
    assert len(looks) == 10


def test_a_map_of_one_class_or_none_is_taken_as_it_is() -> None:
    image = torch.zeros(3, 20, 20, dtype=torch.uint8)
    for value in (3, 255):
        labels = torch.full((20, 20), value, dtype=torch.uint8)
        _, found = training_transform(10, scale=(1, 1))(image, labels)
        assert (found == value).all()


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

    monkeypatch.setattr(transforms, "_contrast", contrast)
    monkeypatch.setattr(transforms, "adjust_hue_and_saturation", colours)
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

    monkeypatch.setattr(transforms, "adjust_hue_and_saturation", colours)
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


def test_the_seed_determines_the_draw() -> None:
    generator = torch.Generator().manual_seed(0)
    image = torch.randint(0, 256, (3, 60, 80), generator=generator, dtype=torch.uint8)
    labels = torch.randint(0, 5, (60, 80), generator=generator, dtype=torch.uint8)
    kept = image.clone(), labels.clone()
    transform = training_transform(32)
    results = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        results.append(transform(image, labels))
    assert torch.equal(results[0][0], results[1][0])
    assert torch.equal(results[0][1], results[1][1])
    assert not torch.equal(results[0][0], results[2][0])
    assert torch.equal(image, kept[0]) and torch.equal(labels, kept[1])  # inputs are left alone
    assert results[0][0].shape == (3, 32, 32) and results[0][1].shape == (32, 32)


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        ({"crop": 0}, "crop 0"),
        ({"crop": (4, 4, 4)}, "crop"),
        ({"crop": (4, 2.5)}, "crop"),
        ({"crop": 4, "base_size": (4, 0)}, "base_size"),
        ({"crop": 4, "base_size": (4,)}, "base_size"),
        ({"crop": 4, "scale": (2, 0.5)}, "scale"),
        ({"crop": 4, "scale": (0, 1)}, "scale"),
        ({"crop": 4, "cat_max_ratio": 0}, "cat_max_ratio"),
        ({"crop": 4, "flip": 1.5}, "flip 1.5"),
    ],
)
def test_faulty_arguments(arguments: dict[str, Any], word: str) -> None:
    with pytest.raises(UserError, match=word):
        training_transform(**arguments)
