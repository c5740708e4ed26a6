"""What a page shows is chosen by a rule that shows losses too."""

from __future__ import annotations

import pytest
import torch

from bpkd.report.figures.rule import Gain, chosen, trimap_gain, window

NAN = float("nan")


def test_gains_and_losses_take_turns() -> None:
    gains = [Gain(i, points) for i, points in enumerate([1.0, 5.0, -4.0, 3.0, NAN, -1.0])]
    assert [g.index for g in chosen(gains, 4)] == [1, 2, 3, 5]
    assert [g.index for g in chosen(gains, 99)] == [1, 2, 3, 5, 0]  # all but the one without
    assert chosen(gains[:1], 4) == gains[:1]
    assert chosen([Gain(0, NAN)], 4) == []


def test_a_gain_is_of_the_classes_of_the_image_along_its_outlines() -> None:
    """Columns 2 and 3 are the band; what is wrong at column 0 is not seen."""
    labels = torch.tensor([[0, 0, 0, 1, 1, 255]])
    wrong = torch.tensor([[1, 0, 0, 0, 1, 2]])
    # The band at width 1 is columns 2, 3 and, beside what is ignored, 4: the first network has
    # IoU 1/2 of both classes there (column 3 is 0), the last 1.
    assert trimap_gain(wrong, labels.clamp(max=2), labels, 3, 1) == pytest.approx(50.0)
    assert trimap_gain(labels, labels, labels, 3, 1) == 0
    even = torch.zeros(1, 6, dtype=torch.long)
    assert trimap_gain(even, even, even, 3, 1) != 0  # no outline: nan
    assert torch.tensor(trimap_gain(even, even, even, 3, 1)).isnan()


def test_the_window_is_where_the_networks_differ_along_outlines() -> None:
    labels = torch.zeros(20, 40, dtype=torch.long)
    labels[:, 10:] = 1
    labels[:, 30:] = 0
    one, other = labels.clone(), labels.clone()
    other[5:9, 29] = 0  # beside the second outline
    other[10:20, 18:22] = 0  # more of it, far from both
    rows, columns = window([one, other], labels, (8, 8), width=1)
    assert rows.start <= 5 and rows.stop >= 9 and columns.start <= 29 < columns.stop
    # Where all agree, the part with the most outline.
    assert window([one, one], labels, (8, 8), width=1)[1] == slice(3, 11)
