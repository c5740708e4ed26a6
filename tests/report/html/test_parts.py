"""The parts of a page: axes, curves, bars, matrices, pictures, tables."""

from __future__ import annotations

import base64
import io
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from bpkd.errors import UserError
from bpkd.inference.kept import keep, kept
from bpkd.report.figures.views import see_through
from bpkd.report.html.axes import axis
from bpkd.report.html.bars import measures
from bpkd.report.html.confused import matrices
from bpkd.report.html.curves import charts, read_curves
from bpkd.report.html.pictures import SIDE, layer_uri, photo_uri
from bpkd.report.html.sheet import mark_best, sheet
from bpkd.report.table import Row, class_rows

NAN = float("nan")


def picture(uri: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2])))


def test_an_axis_of_one_value_has_room() -> None:
    made = axis([0.3], 0, 100)
    assert made.place(0.3) == 50 and made.ticks


@pytest.mark.parametrize("values", [[0.0, 1e-9], [-5.0, 5.0], [1e-8, 1e8], [0.0, 0.0]])
def test_values_stay_on_their_axis(values: list[float]) -> None:
    made = axis(values, 200, 10, log=True)
    assert all(10 <= made.place(value) <= 200 for value in values)
    assert all(10 <= place <= 200 for place, _ in made.ticks)


def test_curves_of_runs(tmp_path: Path) -> None:
    (tmp_path / "metrics.csv").write_text("iteration,mIoU,IoU/sky\n2,0.5,0.25\n4,nan,\n6,0.75,")
    (tmp_path / "training.csv").write_text("iteration,lr,loss\n1,0.1,3\n2,0.1,inf\n")
    found = read_curves(tmp_path)
    assert found["val/mIoU"] == [(2, 0.5)]  # the last line is cut off, 4 has no number
    assert found["training/loss"] == [(1, 3.0)]
    main, more = charts([("plain", 0, found)], width=3)
    assert [chart.title for chart in main] == ["validation: mIoU, %", "loss"]
    assert [chart.title for chart in more] == ["learning rate"]
    assert main[0].lines[0].last == "50" and "iteration 2: 50" in main[0].lines[0].dots[0][2]
    assert read_curves(tmp_path / "none") == {}


def test_a_long_run_is_thinned() -> None:
    points = [(k, 1.0 + k % 2) for k in range(8000)]
    ((chart,), _) = charts([("plain", 0, {"training/loss": points})], width=3)
    assert len(chart.lines[0].points.split()) == 240 and not chart.lines[0].dots


def test_a_damaged_table_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "metrics.csv").write_text("iteration,mIoU\n2,much\n")
    with pytest.raises(UserError, match=r"metrics.csv is damaged: iteration 2, mIoU: 'much'"):
        read_curves(tmp_path)


ROWS = [
    Row("plain", [{"IoU": [0.5, NAN], "confusion": [[3, 1], [0, 0]]}] * 2),
    Row("bpkd", [{"IoU": [0.75, NAN], "trimap_IoU@3": [0.1, 0.2], "confusion": [[4, 0], [0, 0]]}]),
]


def test_bars_and_gains() -> None:
    (only,) = measures(ROWS, ["sky", "car"], [(1, 2, 3), (4, 5, 6)], (0, 1))
    sky, car = only.classes
    assert only.title == "IoU" and sky.values == [50.0, 75.0] and sky.ahead == 25
    assert car.values == [None, None] and car.ahead is None
    assert measures(ROWS, ["sky", "car"], [(1, 2, 3)] * 2, None)[0].classes[0].ahead is None


def test_confusions_are_summed_over_seeds() -> None:
    plain, bpkd = matrices(ROWS, ["sky", "car"])
    assert plain.pairs == [("sky", "car", 25.0)] and bpkd.pairs == []
    assert [square.text for square in bpkd.squares] == ["sky: 100.0 % predicted as sky"]
    assert matrices([Row("old", [{"IoU": [0.5, 0.5]}])], ["sky", "car"]) == []


def test_confusions_stand_in_no_table_by_class_and_are_kept_whole(tmp_path: Path) -> None:
    scores = {"mIoU": 0.5, "parameters": 1, "milliseconds": 1.0, **ROWS[0].scores[0]}
    assert len(class_rows(["sky", "car"], scores).header) == 2
    file = tmp_path / "evaluation_test.json"
    for matrix, whole in (
        ([[3, 1], [0, 0]], True),
        ([[3, 1], [0]], False),
        ([[3, "1"]] * 2, False),
    ):
        keep(file, "question", {**scores, "confusion": matrix})
        assert (kept(file, "question", "mIoU", 2) is not None) == whole


def test_pictures_are_small_and_exact() -> None:
    labels = torch.tensor([[0, 1], [-1, 255]]).repeat_interleave(8, 0).repeat_interleave(8, 1)
    pixels = np.asarray(
        picture(layer_uri(see_through(labels, [(9, 8, 7), (200, 0, 0)]))).convert("RGBA")
    )
    assert pixels[0, 0].tolist() == [9, 8, 7, 255] and pixels[0, 15].tolist() == [200, 0, 0, 255]
    assert pixels[8:, :, 3].max() == 0
    photo = picture(photo_uri(torch.zeros(3, 100, 3000, dtype=torch.uint8)))
    assert photo.size == (SIDE, 34)


def test_the_best_is_of_those_compared() -> None:
    table = sheet("", ["run", "mIoU"], [["teacher", "70.0"], ["a", "50.0 ± 1.0"], ["b", "50.0"]])
    mark_best(table, [1], [1, 2])
    assert [row[1].best for row in table.rows] == [False, True, True]
