"""Runs on instances: whole, killed and resumed, on two processes, with what is no use to them."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
from math import isnan
from pathlib import Path
from unittest.mock import patch

import pytest
import torch
from torch import Tensor

from bpkd import UserError, evaluate, load
from bpkd.datasets.instance_scenes import InstanceScenes
from bpkd.datasets.instances import Instances
from bpkd.metrics.instances import InstanceMeasures
from bpkd.metrics.measures import scalars
from bpkd.networks.solov2.predictions import enlarged
from bpkd.networks.solov2.targets import reduced
from bpkd.recipe.loading import load_recipe
from bpkd.support.tensors import read_tensors
from bpkd.training.building import build
from bpkd.training.distiller import Distiller
from tests.instance_runs import TINY
from tests.runs import killed, rows, run


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    """The file of a tiny recipe on instances, without a teacher."""
    file = tmp_path / "tiny.yaml"
    file.write_text(TINY)
    return file


def taught(recipe: Path) -> Path:
    """The same with a wider teacher and two losses."""
    teacher = run(recipe, "teacher", "max_iters=1", "data.val=null", "student.kernel_channels=64")
    file = recipe.parent / "taught.yaml"
    file.write_text(
        f"base: tiny.yaml\nteacher: {teacher}\nlosses:\n"
        "  bpkd: {use: bpkd.losses.instance.bpkd.InstanceBPKD}\n"
        "  membership: {use: bpkd.losses.instance.membership.Membership}\n"
    )
    return file


def test_what_the_teacher_said_is_read_by_the_next_run(recipe: Path) -> None:
    source = taught(recipe)
    given = ["teacher_cache={folder: %s, dtype: float32}" % (recipe.parent / "cache")]
    given += ["max_iters=2", "data.val=null", "augment.crop=[32, 64]"]
    plain = run(source, "plain", *given[1:])
    cold = run(source, "cold", *given)
    with patch.object(Distiller, "ask_teacher", side_effect=AssertionError("it was asked")):
        warm = run(source, "warm", *given)
    expected = read_tensors(plain / "last.ckpt")
    for folder in (cold, warm):
        found = read_tensors(folder / "last.ckpt")
        assert expected.keys() == found.keys()
        assert all(torch.equal(value, found[key]) for key, value in expected.items())


def test_killed_and_resumed_is_bit_identical(recipe: Path) -> None:
    source = taught(recipe)
    whole = run(source, "whole")
    with killed(3):
        run(source, "killed")
    resumed = run(source, "killed", resume=True)
    expected, found = read_tensors(whole / "last.ckpt"), read_tensors(resumed / "last.ckpt")
    assert expected.keys() == found.keys()
    for key, value in expected.items():
        assert torch.equal(value, found[key]), key
    first = rows(whole / "metrics.csv")
    assert first == rows(resumed / "metrics.csv")
    assert {"AP", "APs", "boundary_AP", "class_AP/pill"} <= first[0].keys()
    names = {"loss/mask", "loss/category", "loss/bpkd.mask_edge", "loss/membership.membership"}
    assert names <= rows(whole / "training.csv")[0].keys()


def test_losses_learn_which_objects_each_level_is_for(recipe: Path) -> None:
    source = taught(recipe)
    ranges = "[[1, 8], [4, 12], [8, 24], [12, 48], [24, 999]]"
    parts = build(load_recipe(source, [f"student.scale_ranges={ranges}"]))
    loss = parts.distiller.losses["bpkd"]
    assert loss.matching.ranges[0][0] == (1, 8) and loss.matching.ranges[1][0] == (
        1,
        16,
    )  # the teacher's run's
    assert parts.distiller.task.scale_ranges[0] == (1, 8)  # type: ignore[attr-defined]
    given = build(load_recipe(source, ["losses.bpkd.scale_ranges=full"])).distiller.losses["bpkd"]
    assert given.matching.ranges[0][0] == (1, 96)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        (
            "losses={kd: {use: bpkd.losses.kd.KD}}",
            "losses.kd: bpkd.losses.kd.KD learns from label maps, and .*InstanceScenes holds inst",
        ),
        ("class_weights=balanced", "class_weights is for label maps"),
        ("auxiliary_weight=0.1", "auxiliary_weight is for label maps"),
        ("task_loss.dice=1", "task_loss is for label maps"),
    ],
)
def test_what_is_for_label_maps_is_refused(recipe: Path, override: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        build(load_recipe(taught(recipe), [override]))


def test_a_loss_of_instances_is_refused_for_label_maps(tmp_path: Path) -> None:
    from tests.runs import TINY as MAPS

    (tmp_path / "tiny.yaml").write_text(MAPS)
    teacher = run(tmp_path / "tiny.yaml", "teacher", "max_iters=1", "data.val=null")
    loss = "losses={r: {use: bpkd.losses.instance.ranking.Ranking}}"
    with pytest.raises(UserError, match=r"Ranking learns from instances, and .*Scenes holds label"):
        build(load_recipe(tmp_path / "tiny.yaml", [f"teacher={teacher}", loss]))


class Sparse(InstanceScenes):
    """Scenes of which every other one is empty; by a list, or not, of those that are not."""

    def __init__(self, split: str, listed: bool = False) -> None:
        super().__init__(split, size=(48, 64), count=4, objects=(1, 3))
        if listed:
            self.trainable = [1, 3]

    def __getitem__(self, index: int) -> tuple[Tensor, Instances]:
        image, instances = super().__getitem__(index)
        return image, instances if index % 2 else Instances.none(48, 64)


@pytest.mark.parametrize("listed", [True, False])
def test_images_without_instances(recipe: Path, listed: bool) -> None:
    folder = run(
        recipe, "sparse", f"data={{use: {__name__}.Sparse, listed: {listed}}}", "batch_size=1"
    )
    losses = [float(row["loss/mask"]) for row in rows(folder / "training.csv")]
    assert losses and all(loss >= 0 for loss in losses)
    assert 0 <= evaluate(folder, split="val")["AP"] <= 1


class FewClasses(InstanceScenes):
    """To learn from, pills alone; later all five classes."""

    def __getitem__(self, index: int) -> tuple[Tensor, Instances]:
        image, instances = super().__getitem__(index)
        if self.split == "train":
            instances = instances._replace(labels=torch.zeros_like(instances.labels))
        return image, instances


def test_a_class_that_is_never_seen(recipe: Path) -> None:
    few = f"data={{use: {__name__}.FewClasses, size: [48, 64], count: 4, objects: [2, 4]}}"
    everything = [f"evaluation.{name}_threshold=0" for name in ("score", "filter")]
    folder = run(taught(recipe), "few", few, "max_iters=2", *everything)
    for row in rows(folder / "training.csv"):
        assert not any(isnan(float(value)) for value in row.values())
    scores = evaluate(folder, split="test")
    labels = {
        int(k) for i in range(4) for k in FewClasses("test", (48, 64), 4, (2, 4))[i][1].labels
    }
    assert labels - {0}  # classes that nothing was learnt of are there
    for label, value in enumerate(scores["class_AP"]):
        assert (0 <= value <= 1) if label in labels else isnan(value)


def test_no_instance_at_all_is_told(recipe: Path) -> None:
    folder = run(recipe, "plain", "data.val=null", "max_iters=1")
    empty = f"data={{use: {__name__}.Empty}}"
    with (
        pytest.warns(UserWarning, match="no instance in any image"),
        pytest.raises(UserError, match="no image of the split 'test' has an instance, so nothing"),
    ):
        evaluate(folder, empty, split="test")


class Empty(Sparse):
    """Scenes without anything in them."""

    def __getitem__(self, index: int) -> tuple[Tensor, Instances]:
        return super().__getitem__(index)[0], Instances.none(48, 64)


PROGRAM = "from bpkd.cli import main\n\nif __name__ == '__main__':\n    main()\n"
WHOLE = """
import torch
from bpkd.datasets.instance_scenes import InstanceScenes
from bpkd.datasets.instances import Instances

class Whole(InstanceScenes):
    def __getitem__(self, index):
        masks = torch.ones(1, 48, 64).bool()
        masks[:, : 8 * index] = False
        return super().__getitem__(index)[0], Instances.of(masks, torch.tensor([index]))
"""


@pytest.mark.slow
@pytest.mark.parametrize("count", [2, 3])
def test_two_processes_give_the_ap_of_one(
    recipe: Path, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    """An image a process, or of three images two and one; each object fills its image."""
    folder = recipe.parent
    (folder / "program.py").write_text(PROGRAM)
    (folder / "whole_images.py").write_text(WHOLE)
    monkeypatch.syspath_prepend(folder)
    options = ["devices=2", "max_iters=2", "--quiet", "run=two"]
    options.append(f"data={{use: whole_images.Whole, size: [48, 64], count: {count}}}")
    # Whatever is likely or not is found, and fills the image too.
    options += [f"evaluation.{name}_threshold=0" for name in ("score", "mask", "filter")]
    ended = subprocess.run(
        [sys.executable, "program.py", "train", "tiny.yaml", *options],
        cwd=folder,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    with (folder / "two/metrics.csv").open(newline="") as stream:
        (row,) = csv.DictReader(stream)
    whole = scalars(evaluate(folder / "two", "devices=1", split="val"))
    assert whole["AR"] > 0.5  # there is something to compare
    for name in whole.keys() - {"parameters", "milliseconds"}:
        assert float(row[name]) == pytest.approx(whole[name], abs=1e-9, nan_ok=True), name


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_one_scene_is_learnt_by_heart(recipe: Path) -> None:
    """Data, targets, loss, network, matrix NMS and AP agree on what an object is.

    Masks are learnt at a quarter of the image's resolution: the AP of the true masks at that
    resolution is the most that there is to reach.
    """
    arguments = {"size": [96, 96], "count": 1, "objects": [4, 4]}
    folder = run(
        recipe,
        "one",
        "data={use: bpkd.datasets.instance_scenes.InstanceScenes, size: [96, 96], count: 1, "
        "objects: [4, 4], val: train, test: train}",
        "student.num_grids=[16, 14, 10, 8, 6]",
        "augment.flip=0",
        "max_iters=200",
        "batch_size=1",
        "optimizer={use: torch.optim.AdamW, lr: 0.003, weight_decay: 0.0}",
        "evaluation={every: 200, size_limits: [8, 24]}",
        "student.norm_eval=true",
    )
    scores = evaluate(folder, "evaluation.size_limits=[8,24]", split="train")
    truth = InstanceScenes("train", **arguments)[0][1]  # type: ignore[arg-type]
    coarse = enlarged(reduced(truth.masks).float(), (96, 96), (96, 96))
    measures = InstanceMeasures(5, size_limits=(8, 24))
    measures.update([truth._replace(masks=coarse, scores=torch.ones(len(coarse)))], [truth])
    most = measures.compute()["AP"]
    assert most > 0.7 and scores["AP50"] == pytest.approx(1.0), scores
    assert scores["AP"] > 0.9 * most, (scores, most)
    assert load(folder).classes == ["pill", "plate", "star", "ring", "hook"]
