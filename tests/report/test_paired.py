"""Paired differences against sums by hand, and through the command."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import torch

from bpkd.inference.evaluation import evaluate
from bpkd.inference.image_counts import ImageCounts, iou_of, kept_counts
from bpkd.metrics.measures import Measures
from bpkd.report.effects import effect, thin_classes
from bpkd.runs.names import remove_own
from tests.commands import done, refused
from tests.runs import run


def test_each_images_counts_sum_to_the_scores() -> None:
    draw = torch.Generator().manual_seed(0)
    labels = torch.randint(3, (4, 3, 3), generator=draw).repeat_interleave(5, 1)
    labels = labels.repeat_interleave(5, 2)
    prediction = torch.where(torch.rand(labels.shape, generator=draw) < 0.7, labels, 0)
    labels[0, :4] = 255
    measures, images = Measures(3, (1, 3)), ImageCounts()
    for part in (slice(0, 3), slice(3, 4)):  # batches of unequal size
        images.update(measures, prediction[part], labels[part])
    scores, counts = measures.compute(), images.arrays()
    whole = Measures(3, (1, 3))
    whole.update(prediction, labels)
    assert whole.compute() == scores
    for name in ("IoU", "trimap_IoU@1", "trimap_IoU@3", "boundary_IoU"):
        assert counts[name].shape == (4, 2, 3)
        assert iou_of(counts[name].sum(axis=0)).tolist() == pytest.approx(scores[name])
    alone = Measures(3, (1, 3))
    alone.update(prediction[2:3], labels[2:3])
    assert iou_of(counts["IoU"][2]).tolist() == pytest.approx(alone.compute()["IoU"])
    assert counts["labels"].sum() == (labels != 255).sum()
    assert (counts["labels@1"] <= counts["labels@3"]).all()


def counts_of(intersections: list[int]) -> np.ndarray:
    """Images of 10 labelled and 10 predicted pixels of one class."""
    return np.array([[[i], [20]] for i in intersections])


def test_an_effect_by_hand() -> None:
    # IoU of both images together: 20 / 20 = 1 against 10 / 30; and the same again.
    better, worse = counts_of([10, 10]), counts_of([5, 5])
    found = effect("a", "mIoU", [(better, worse), (better, worse)])
    assert found.difference == pytest.approx(100 * (1 - 1 / 3))
    assert found.error == 0  # the seeds agree, and so do the images
    for ends in (found.by_seeds, found.by_images, found.by_both):
        assert ends == pytest.approx((found.difference, found.difference))


def test_intervals_know_where_the_doubt_comes_from() -> None:
    up, level = counts_of([10] * 8), counts_of([5] * 8)
    seeds = effect("a", "mIoU", [(up, level), (level, up)])  # one seed gains, the other loses
    assert seeds.difference == pytest.approx(0)
    assert seeds.by_seeds[0] < -50 and seeds.by_seeds[1] > 50
    assert seeds.by_images == pytest.approx((0, 0), abs=1e-9)
    mixed, other = counts_of([10, 0] * 4), counts_of([0, 10] * 4)
    images = effect("a", "mIoU", [(mixed, other), (mixed, other)])
    assert images.by_seeds == pytest.approx((0, 0), abs=1e-9)
    assert images.by_images[0] < -10 and images.by_images[1] > 10
    single = effect("a", "mIoU", [(up, level)])
    assert np.isnan(single.error) and np.isnan(single.by_seeds[0]) and single.seeds == 1
    assert effect("a", "mIoU", [(mixed, other)]).by_images == images.by_images  # the same draws


def test_thin_classes_go_by_the_labels() -> None:
    counts = {"labels": np.array([[10, 10, 0]]), "labels@3": np.array([[4, 6, 0]])}
    assert thin_classes(counts) == [1]
    assert thin_classes({"labels": counts["labels"]}) == []


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    from tests.runs import TINY

    folder = tmp_path_factory.mktemp("paired")
    found = []
    for name, extra in (("one", ""), ("two", "auxiliary_weight: 0.1\n")):
        recipe = folder / f"{name}.yaml"
        recipe.write_text(TINY + extra)
        for seed in (1, 2):
            found.append(run(recipe, f"{name}-{seed}", "max_iters=1", f"seed={seed}"))
    return found


def test_the_command(runs: list[Path], tmp_path: Path) -> None:
    table = tmp_path / "t.csv"
    evaluate(runs[0])
    (runs[0] / "evaluation_test.npz").unlink()  # as a run of before has it
    given = ["--out", tmp_path / "p.png", "--csv", table]
    text = done("compare", *runs, "--paired", "one", *given)
    assert "gain on one" in text and "boundary IoU" in text
    with (tmp_path / "t_paired.csv").open(newline="") as stream:
        found = list(csv.DictReader(stream))
    assert {row["method"] for row in found} == {"two"} and found[0]["seeds"] == "2"
    whole = [
        [evaluate(r, say=lambda _: None)["mIoU"] for r in part] for part in (runs[:2], runs[2:])
    ]
    gain = 100 * (sum(whole[1]) - sum(whole[0])) / 2
    assert float(found[0]["points"]) == pytest.approx(gain)
    assert float(found[0]["images_low"]) <= gain <= float(found[0]["images_high"])
    again = done("compare", *runs, "--paired", runs[0], *given)
    assert again.count("kept from before") == 4


def test_mistakes(runs: list[Path], tmp_path: Path) -> None:
    out = ["--out", tmp_path / "p.png"]
    assert "expected one of one, two" in refused("compare", *runs, "--paired", "three", *out)
    assert "no seed in common" in refused("compare", runs[0], runs[3], "--paired", "one", *out)
    assert "only one" in refused("compare", *runs[:2], "--paired", "one", *out)
    assert "no class is called" in refused(
        "compare", *runs, "--paired", "one", "--thin", "unicorn", *out
    )


def test_what_a_run_wrote_goes_with_it(runs: list[Path]) -> None:
    evaluate(runs[3], split="val", counts=True)
    file = runs[3] / "evaluation_val.npz"
    assert kept_counts(file) is not None
    file.write_bytes(b"damaged")
    assert kept_counts(file) is None
    remove_own(runs[3])
    assert not file.exists()
