"""``class_weights`` and ``task_loss`` in a recipe: read, refused, balanced, recorded, resumed."""

from __future__ import annotations

import csv
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from bpkd import UserError, evaluate, train
from bpkd.datasets.scenes import Scenes
from bpkd.recipe.loading import load_recipe
from bpkd.training import class_weights as subject
from bpkd.training.building import build
from bpkd.training.class_weights import balanced, check_own_loss, class_shares
from tests.runs import killed, run

CLASSES = len(Scenes("train").classes)


def weights(folder: Path) -> list[float]:
    with (folder / "class_weights.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["name"] for row in rows] == list(Scenes("train").classes)
    return [float(row["weight"]) for row in rows]


def test_balanced_weights_are_of_mean_1_over_pixels() -> None:
    data = Scenes("train", size=(32, 48), count=5)
    shares = class_shares(data)
    assert sum(shares) == pytest.approx(1)
    labels = [data[index][1] for index in range(5)]
    first = sum(int((each == 0).sum()) for each in labels)
    known = sum(int((each < CLASSES).sum()) for each in labels)
    assert shares[0] == pytest.approx(first / known)
    found = balanced(shares)
    assert sum(s * w for s, w in zip(shares, found, strict=True)) == pytest.approx(1)
    products = {round(s * w, 12) for s, w in zip(shares, found, strict=True) if s}
    assert len(products) == 1


def test_no_label_anywhere() -> None:
    class Empty:
        classes = ("a", "b")

        def __len__(self) -> int:
            return 1

        def __getitem__(self, index: int) -> object:
            image, labels = Scenes("train", size=(32, 48), count=1)[0]
            return image, labels * 0 + 255

    with pytest.raises(UserError, match="no pixel has a class"):
        class_shares(Empty())


def test_a_list_reaches_the_students_loss(recipe: Path) -> None:
    listed = [float(index + 1) for index in range(CLASSES)]
    options = ["task_loss={label_smoothing: 0.1, ohem: {min_kept: 50}, dice: 0.5}"]
    loss = build(load_recipe(recipe, [f"class_weights={listed}", *options])).distiller.task.loss  # type: ignore[attr-defined]
    assert loss.class_weights == tuple(listed)
    assert (loss.label_smoothing, loss.ohem, loss.dice, loss.lovasz) == (0.1, (0.7, 50), 0.5, 0.0)
    folder = run(recipe, "listed", f"class_weights={listed}", *options, "max_iters=2")
    assert not (folder / "class_weights.csv").exists()
    assert load_recipe(folder / "recipe.yaml").class_weights == listed


def test_balanced_is_computed_once_and_recorded(
    recipe: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = ["class_weights=balanced", "max_iters=4", "evaluation.every=2"]
    whole = run(recipe, "whole", *given)
    expected = balanced(class_shares(Scenes("train", size=(32, 48), count=5)))
    assert weights(whole) == pytest.approx(expected)
    with killed(4):
        run(recipe, "killed", *given)

    def never(*arguments: object) -> list[float]:
        raise AssertionError("computed again")

    monkeypatch.setattr(subject, "class_shares", never)
    folder = recipe.parent / "killed"
    train(recipe, f"run={folder}", *given, resume=True, progress=False)
    assert (folder / "training.csv").read_text() == (whole / "training.csv").read_text()
    (folder / "class_weights.csv").write_text("name,weight\nsky,heavy\n")
    with pytest.raises(UserError, match="is damaged: expected name,weight and a line a class"):
        subject.class_weights(load_recipe(recipe, given), Scenes("train"), folder)


def test_a_missing_library_stops_a_run_before_it_begins_and_no_evaluation(
    recipe: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = run(recipe, "dice", "task_loss.dice=0.5", "max_iters=1", "evaluation.every=1")
    monkeypatch.setitem(sys.modules, "segmentation_models_pytorch.losses", None)
    assert evaluate(folder, split="val")
    with pytest.raises(UserError, match=r"task_loss\.dice or task_loss\.lovasz needs segmentation"):
        run(recipe, "never", "task_loss.dice=0.5")
    assert not (recipe.parent / "never").exists()


@pytest.mark.parametrize("change", ["class_weights=balanced", "task_loss.label_smoothing=0.1"])
def test_instances_have_no_label_maps(recipe: Path, change: str) -> None:
    data = SimpleNamespace(task="instance")
    check_own_loss(load_recipe(recipe), data)
    key = change.partition("=")[0].partition(".")[0]
    with pytest.raises(UserError, match=f"{key} is for label maps, and bpkd.datasets.scenes"):
        check_own_loss(load_recipe(recipe, [change]), data)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("class_weights=[1.0, 2.0]", f"one for each of the {CLASSES} classes of the data set"),
        ("class_weights=balance", "class_weights"),
        ("class_weights=[1, -1]", "class_weights"),
        ("task_loss.label_smoothing=1", "task_loss.label_smoothing"),
        ("task_loss.dice=-1", "task_loss.dice"),
        ("task_loss.ohem={treshold: 0.5}", "treshold"),
    ],
)
def test_what_it_cannot_be_is_one_line(recipe: Path, change: str, message: str) -> None:
    with pytest.raises(UserError, match=message.replace("[", r"\[")) as caught:
        run(recipe, "never", change)
    assert "\n" not in str(caught.value)
    assert not (recipe.parent / "never").exists()
