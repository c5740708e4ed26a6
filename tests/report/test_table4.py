"""Table 4 from runs of its own recipes, on COCO's layout, a tiny size and random weights."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bpkd import evaluate, train
from tests.coco_folders import annotation, content, write
from tests.commands import bpkd
from tests.pictures import save

#: In place of both networks of the paper; classes, schedule, data and losses are the recipes'.
TINY = (
    "{use: bpkd.networks.SOLOv2, backbone: test_resnet.r160_in1k, channels: 32, stacked_convs: 1, "
    "kernel_channels: 32, mask_channels: 32, pyramid_channels: 32, num_grids: [8, 7, 5, 4, 3]}"
)
SHORT = (
    "max_iters=2",
    "batch_size=2",
    "workers=0",
    "augment.sizes=[[96,64]]",
    "evaluation.size=[96,64]",
    "evaluation.every=2",
    "evaluation.score_threshold=0",
    "evaluation.filter_threshold=0",
)


@pytest.fixture
def coco(tmp_path: Path) -> Path:
    """Two photos a split, large enough to be learnt from, with an object each."""
    draw = np.random.default_rng(0)
    root = tmp_path / "coco"
    for split in ("train2017", "val2017"):
        entries: dict[str, Any] = content()
        box = [[10, 10, 50, 10, 50, 40, 10, 40]]
        entries["images"] = [
            {"id": k, "file_name": f"{k}.png", "height": 48, "width": 64} for k in (1, 2)
        ]
        entries["annotations"] = [annotation(k, k, (1, 90)[k - 1], box) for k in (1, 2)]
        write(root, entries, split)
        for k in (1, 2):
            save(root / split / f"{k}.png", draw.integers(0, 255, (48, 64, 3)).astype(np.uint8))
    return root


def test_the_row_of_a_run(coco: Path, tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    words = [*SHORT, f"data.root={coco}", f"student={TINY}"]
    train("table4/plain", *words, f"run={runs / 'plain'}", progress=False)
    train("table4/bpkd", *words, f"teacher={TINY}", f"run={runs / 'bpkd'}", progress=False)
    code, _, told = bpkd("table", "4", "--runs", runs, "--csv", tmp_path / "four.csv")
    with (tmp_path / "four.csv").open(newline="") as stream:
        lines = {line["method"]: line for line in csv.DictReader(stream)}
    assert [lines[m]["runs"] for m in ("teacher", "plain", "cwd", "bpkd")] == ["0", "1", "0", "1"]
    scores = evaluate(runs / "bpkd")
    for measure, name in (("AP", "AP"), ("AP50", "AP50"), ("AP_M", "APm")):
        assert float(lines["bpkd"][f"{measure}_ours"]) == pytest.approx(100 * scores[name]), measure
    assert code == 0 and lines["bpkd"]["AP_published"] == "33.2"
    assert "left out" not in told and told.count("differs from its row's recipe") == 2
