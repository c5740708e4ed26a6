"""What is drawn and told of runs that find objects: report, grid, paired gains."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import pytest
from PIL import Image

from bpkd import train
from tests.commands import done, refused
from tests.instance_runs import TINY

#: A network that has hardly begun sees something everywhere.
EVERYTHING = (
    "evaluation.score_threshold=0.005",
    "evaluation.mask_threshold=0.3",
    "evaluation.filter_threshold=0",
)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A teacher, a student with two seeds, and one that was taught with the same."""
    folder = tmp_path_factory.mktemp("pages")
    taught = [
        f"teacher={folder / 'teacher'}",
        "losses.kd.use=bpkd.losses.instance.kd.InstanceKD",
    ]
    found = {}
    for name, words in {
        "teacher": ["seed=7"],
        "plain": [],
        "plain1": ["seed=1"],
        "kd": taught,
        "kd1": [*taught, "seed=1"],
    }.items():
        method = name.removesuffix("1")
        (folder / f"{method}.yaml").write_text(TINY + f"name: {method}\n")
        changes = [f"run={folder / name}", "max_iters=1", "evaluation.every=1", *EVERYTHING, *words]
        found[name] = train(folder / f"{method}.yaml", *changes, progress=False)
    return found


def test_report(runs: dict[str, Path], tmp_path: Path) -> None:
    file = tmp_path / "r.html"
    shown = [runs[name] for name in ("teacher", "plain", "plain1", "kd")]
    done("report", *shown, "--rows", 2, "--out", file)
    text = file.read_text()
    for part in ("Table", "Images", "Classes", "Training", "Cost", "Recipes", "Environment"):
        assert f"<h2>{part}</h2>" in text
    assert "<h2>Confusion</h2>" not in text and "#confusion" not in text
    for tab in ("AP", "boundary AP", "AP by size", "boundary AP by size"):
        assert f'data-tab="{tab}"' in text
    for word in ("AP small", "AP large", "pill", "hook", "mean ± spread of 2 seeds", "Medium from"):
        assert word in text, word
    assert "validation: AP, %" in text and "mask" in text
    # The image, three columns and the annotations of each scene, as pictures of their own.
    scenes = re.findall(r'<article class="scene".*?</article>', text, re.DOTALL)
    assert len(scenes) == 2
    assert all(scene.count("data:image/webp") == 5 for scene in scenes)
    assert all("annotations" in scene and "points of quality" in scene for scene in scenes)


def test_report_of_one_run_without_validation(runs: dict[str, Path], tmp_path: Path) -> None:
    (tmp_path / "alone.yaml").write_text(TINY)
    words = [f"run={tmp_path / 'alone'}", "max_iters=2", "data.val=null", *EVERYTHING]
    run = train(tmp_path / "alone.yaml", *words, progress=False)
    shown = done("report", run, "--image", 1, "--out", tmp_path / "r.html")
    assert "not finished" not in shown and "image 1" in (tmp_path / "r.html").read_text()


def test_grid(runs: dict[str, Path], tmp_path: Path) -> None:
    png = tmp_path / "g.png"
    words = ["figure", "grid", runs["plain"], runs["kd"], "--rows", 2, "--out", png]
    lines = done(*words).splitlines()
    assert len(lines) == 3 and "points" not in lines[0]
    assert all("quality of the objects found with a score from 0.3" in line for line in lines[:2])
    wide = Image.open(png).width
    done(*words, "--last", "labels")
    assert Image.open(png).width < wide  # without the teacher


def test_what_is_of_label_maps_alone(runs: dict[str, Path], tmp_path: Path) -> None:
    out = ["--out", tmp_path / "x.png"]
    told = refused("figure", "trimap", runs["plain"], *out)
    assert "instances, which have no trimap IoU: bpkd report" in told
    assert "is for the task 'instance'" in refused("figure", "edges", runs["kd"], *out)


def test_paired_gains(runs: dict[str, Path], tmp_path: Path) -> None:
    table = tmp_path / "t.csv"
    both = [runs[name] for name in ("plain", "plain1", "kd", "kd1")]
    shown = done("compare", *both, "--paired", "plain", "--csv", table, "--out", tmp_path / "c.png")
    assert "gain on plain, paired by seed, on test" in shown
    with (tmp_path / "t_paired.csv").open(newline="") as stream:
        rows = {row["score"]: row for row in csv.DictReader(stream)}
    assert {"AP", "AP50", "boundary AP"} <= rows.keys()
    with table.open(newline="") as stream:
        scores = [float(row["AP"]) for row in csv.DictReader(stream)]
    gains = [100 * (kd - plain) for plain, kd in zip(scores[:2], scores[2:], strict=True)]
    row = rows["AP"]
    assert row["method"] == "kd" and row["seeds"] == "2"
    assert float(row["points"]) == pytest.approx(sum(gains) / 2, abs=1e-9)
    assert float(row["standard_error"]) == pytest.approx(abs(gains[0] - gains[1]) / 2, abs=1e-9)
    assert row["images_low"] == "nan"  # AP is no sum over images
    words = ["compare", *both, "--paired", "plain", "--thin", "pill", "--out", tmp_path / "c.png"]
    assert "--thin is of the classes of label maps" in refused(*words)
