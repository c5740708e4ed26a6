"""Bars and curves hold the scores of the runs."""

from __future__ import annotations

from math import isnan

import pytest
from matplotlib.container import BarContainer

from bpkd.errors import UserError
from bpkd.metrics.measures import Scores
from bpkd.report.figures.trimap import band_widths, trimap_figure, widths
from bpkd.report.table import Row

NAN = float("nan")


def scores(*by_class: float, at: tuple[int, ...] = (1, 3)) -> Scores:
    """A run's trimap IoU by class, a tenth less for each narrower band."""
    found: Scores = {}
    for less, width in enumerate(reversed(at)):
        own = [value - less / 10 for value in by_class]
        known = [value for value in own if not isnan(value)]
        found |= {f"trimap_IoU@{width}": own, f"trimap_mIoU@{width}": sum(known) / len(known)}
    return found


ROWS = [
    Row("plain", [scores(0.5, 0.3, NAN), scores(0.7, 0.3, NAN)]),
    Row("bpkd", [scores(0.8, 0.4, 0.6)]),
]


def test_bars_are_means_over_seeds_with_the_mean_over_classes_last() -> None:
    bars, curves = trimap_figure(ROWS, ["road", "car", "pole"], 3).axes
    drawn = [part for part in bars.containers if isinstance(part, BarContainer)]
    heights = {str(part.get_label()): [bar.get_height() for bar in part] for part in drawn}
    assert heights["plain"] == pytest.approx([60, 30, NAN, 45], nan_ok=True)
    assert heights["bpkd"] == pytest.approx([80, 40, 60, 60])
    assert [label.get_text() for label in bars.get_xticklabels()] == ["road", "car", "pole", "mean"]
    assert [text.get_text() for text in bars.texts] == ["–"]  # no pole in the first runs
    assert [list(line.get_ydata()) for line in curves.lines[:1]] == [pytest.approx([35, 45])]


def test_one_width_has_no_curve_and_many_classes_have_several_lines() -> None:
    row = [Row("a", [scores(*[0.5] * 60, at=(3,))])]
    figure = trimap_figure(row, [f"class {i}" for i in range(60)], 3)
    shown = [len(axis.get_xticklabels()) for axis in figure.axes]
    assert len(shown) == 3 and sum(shown) == 61 and max(shown) <= 24


def test_widths_in_common() -> None:
    assert widths([Row("a", [scores(0.5)]), Row("b", [scores(0.5, at=(3, 9))])]) == [3]
    assert band_widths("4,1", 3) == [1, 3, 4]


@pytest.mark.parametrize("text", ["", "a", "1,0", "1.5"])
def test_wrong_widths(text: str) -> None:
    with pytest.raises(UserError, match="expected pixels"):
        band_widths(text, 3)


def test_mistakes() -> None:
    with pytest.raises(UserError, match="not all measured at width 5, but at 1, 3"):
        trimap_figure(ROWS, ["road", "car", "pole"], 5)
    with pytest.raises(UserError, match="b is not measured by trimap IoU"):
        widths([ROWS[0], Row("b", [{"AP": 0.3}])])
    with pytest.raises(UserError, match="no width of the trimap band in common"):
        widths([ROWS[0], Row("b", [scores(0.5, at=(7,))])])
