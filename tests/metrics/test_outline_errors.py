"""Bins against scipy's distances, and counts by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import ndimage

from bpkd.metrics.outline_errors import (
    BANDS,
    SIDES,
    calibration_error,
    distance_bins,
    outline_errors,
    thickness_bins,
)


def blobs(seed: int = 0) -> torch.Tensor:
    """Areas of many sizes (1, 160, 190)."""
    draw = np.random.default_rng(seed)
    noise = ndimage.gaussian_filter(draw.normal(size=(160, 190)), 7)
    labels = (noise > 0).astype(int) + (noise > 0.03)
    labels[:, 95] = 3  # a pole
    return torch.tensor(labels)[None]


def test_distances_are_scipys() -> None:
    labels = blobs()
    array = labels[0].numpy()
    low = ndimage.minimum_filter(array, size=3, mode="nearest")
    high = ndimage.maximum_filter(array, size=3, mode="nearest")
    distance = ndimage.distance_transform_cdt(low == high, metric="chessboard")
    expected = np.digitize(distance, BANDS)
    assert np.array_equal(distance_bins(labels)[0].numpy(), expected)
    assert set(np.unique(expected)) == set(range(6))


@pytest.mark.parametrize("side", SIDES)
def test_thickness_is_an_opening_of_each_class(side: int) -> None:
    labels = blobs(1)
    found = thickness_bins(labels, (side,))[0].numpy()
    array = labels[0].numpy()
    opened = np.zeros_like(array, dtype=bool)
    for value in np.unique(array):
        opened |= ndimage.binary_opening(array == value, np.ones((side, side)))
    inside = (slice(side, -side),) * 2  # to scipy, areas end at the frame
    assert np.array_equal(found[inside] == 1, opened[inside])
    assert opened[inside].any() and not opened[inside].all()


def test_counts_by_hand() -> None:
    labels = torch.tensor([[[0, 0, 0, 1, 1, 255]]])
    student = torch.tensor([[[[0.9, 0.7, 0.4, 0.2, 0.1, 0.5]]]])
    student = torch.cat([student, 1 - student], dim=1)  # says 0 0 1 1 1 .
    teacher = torch.tensor([[[0, 1, 0, 1, 0, 0]]])
    errors = outline_errors(student, labels, teacher)
    # Distances 2 1 0 0 0; student right: 1 1 0 1 1; teacher right: 1 0 1 1 0.
    assert errors.by_distance[0].tolist() == [[0, 1], [1, 1]]
    assert errors.by_distance[1].tolist() == [[0, 0], [1, 0]]
    assert errors.by_distance[2].tolist() == [[0, 0], [0, 1]]
    assert errors.agreement.tolist() == [1, 0, 1, 0, 0, 0]
    assert errors.by_thickness.sum(dim=0).tolist() == [1, 4]
    assert errors.pairs.sum(dim=0).tolist() == [[2, 1], [0, 2]]
    near = errors.confidence[0]
    assert near.sum(dim=0).tolist() == pytest.approx([5, 0.9 + 0.7 + 0.6 + 0.8 + 0.9, 4])
    gap = (0.9 - 1 + 0.9 - 1, 0.7 - 1, 0.6 - 0, 0.8 - 1)
    assert calibration_error(near) == pytest.approx(sum(map(abs, gap)) / 5, rel=1e-6)
    twice = errors + errors
    assert twice.by_distance.sum() == 10
