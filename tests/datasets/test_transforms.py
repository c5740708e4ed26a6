"""The training transform: exact without chance, and its chances in numbers."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from bpkd.datasets.transforms import TrainingTransform, to_float, training_transform
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
