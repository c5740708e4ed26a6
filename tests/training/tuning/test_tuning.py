"""A search that is the same each time, goes on where it ended, and never reads test."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

from bpkd.datasets.scenes import Scenes
from bpkd.errors import UserError
from bpkd.recipe.loading import load_recipe
from bpkd.recipe.ranges import Range
from bpkd.training.tuning import trials as tuning
from bpkd.training.tuning.draws import drawn
from bpkd.training.tuning.space import space_of, whole_weights
from bpkd.training.tuning.trials import best, tune, tune_methods
from tests.commands import done, refused
from tests.runs import TINY, run

SHORT = ("max_iters=1", "data.count=2")
SPACE = {
    "a": Range(low=1, high=100, log=True),
    "b": Range(low=0, high=1),
    "c": Range(choices=["x", "y", "z"]),
}


@pytest.fixture(scope="module")
def recipes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of a plain recipe, CWD and BPKD, with a teacher."""
    folder = tmp_path_factory.mktemp("tuning")
    (folder / "plain.yaml").write_text(TINY)
    teacher = run(folder / "plain.yaml", "teacher", *SHORT)
    for name, use in (("cwd", "cwd.CWD"), ("bpkd", "bpkd.BPKD")):
        text = f"{TINY}teacher: {teacher}\nlosses: {{{name}: {{use: bpkd.losses.{use}}}}}\n"
        (folder / f"{name}.yaml").write_text(text)
    return folder


@pytest.mark.parametrize("search", ["random", "grid", "optuna"])
def test_draws_are_in_their_ranges_and_the_same_each_time(search: Any) -> None:
    past: list[tuple[dict[str, Any], float]] = []
    for number in range(12):
        settings = drawn(search, SPACE, number, 12, 3, past)
        assert settings == drawn(search, SPACE, number, 12, 3, past)
        if number == 0:
            assert settings == {}
            continue
        assert set(settings) == set(SPACE)
        assert 1 <= settings["a"] <= 100 and 0 <= settings["b"] <= 1
        past.append((settings, settings["b"]))
    assert len({str(settings) for settings, _ in past}) == 11
    assert len({settings["c"] for settings, _ in past}) > 1
    if search == "random":
        assert drawn(search, SPACE, 1, 12, 3) != drawn(search, SPACE, 1, 12, 4)


def test_few_choices_are_tried_again() -> None:
    space = {"a": Range(choices=[1, 2])}
    assert [drawn("grid", space, n, 6)["a"] for n in range(1, 6)] == [1, 2, 1, 2, 1]


def test_the_space_is_round_the_defaults_or_the_recipes_own(recipes: Path) -> None:
    space = space_of(load_recipe(recipes / "bpkd.yaml"))
    assert space["losses.bpkd.weight.edge"] == Range(low=1.7 / 8, high=1.7 * 8, log=True)
    assert space["losses.bpkd.temperature"] == Range(low=0.25, high=4.0, log=True)
    assert "losses.bpkd.pre_mask" in space
    given = load_recipe(recipes / "bpkd.yaml", ["losses.bpkd.weight=2"])
    assert space_of(given)["losses.bpkd.weight.body"].high == 16
    assert whole_weights(given, space) == ["losses.bpkd.weight={edge: 2.0, body: 2.0}"]
    published = ["losses.bpkd={use: bpkd.losses.bpkd.published}"]
    made = space_of(load_recipe(recipes / "bpkd.yaml", published))
    assert made["losses.bpkd.weight.edge"].low == 50 / 8
    assert list(space_of(load_recipe(recipes / "plain.yaml"))) == ["optimizer.lr"]
    own = load_recipe(recipes / "bpkd.yaml", ["tune={seed: {choices: [1, 2]}}"])
    assert space_of(own) == {"seed": Range(choices=[1, 2])}


def test_every_method_has_the_same_number_of_trials(recipes: Path, tmp_path: Path) -> None:
    """With the real search; each trial's run is counted, not its line."""
    begun: list[Path] = []

    def train(recipe: Any, **options: Any) -> Path:
        begun.append(Path(recipe.run))
        return run_train(recipe, **options)

    run_train = tuning.train
    names = ("plain", "cwd", "bpkd")
    sources = {name: recipes / f"{name}.yaml" for name in names}
    with patch.object(tuning, "train", train):
        found = tune_methods(
            sources, *SHORT, out=tmp_path, trials=2, progress=False, say=lambda _: None
        )
    for name in names:
        assert [each.parent.name for each in begun].count(name) == len(found[name]) == 2
        recorded = list(csv.DictReader((tmp_path / name / "trials.csv").open()))
        assert len(recorded) == 2 and all(row["mIoU"] for row in recorded)


def test_the_command_goes_on_and_never_reads_test(recipes: Path, tmp_path: Path) -> None:
    out, splits = tmp_path / "out", set()
    before = Scenes.__init__

    def noted(self: Scenes, split: str, *args: Any, **named: Any) -> None:
        splits.add(split)
        before(self, split, *args, **named)

    given = ["tune", recipes / "bpkd.yaml", *SHORT, "--out", out, "--quiet"]
    with patch.object(Scenes, "__init__", noted):
        code = done(*given, "--trials", 1)
        assert "trial 1 of 1" in code and "best of 1 trials: trial 0" in code
        text = done(*given, "--trials", 2)
    assert splits == {"train", "val"}
    assert "trial 1 of 2" not in text and "trial 2 of 2" in text
    assert "best of 2 trials" in text
    file = out / "bpkd" / "best.yaml"
    chosen = load_recipe(file)
    assert chosen.data.test == "test" and not chosen.tune and "trial" not in chosen.run
    rows = list(csv.DictReader((out / "bpkd" / "trials.csv").open()))
    top = max(rows, key=lambda row: float(row["mIoU"]))
    if top["losses.bpkd.weight.edge"]:
        weight = chosen.losses["bpkd"].weight
        assert isinstance(weight, dict)
        assert weight["edge"] == float(top["losses.bpkd.weight.edge"])
    assert "another search" in refused(*given, "--trials", 2, "--seed", 5)


def test_a_trial_whose_numbers_break_is_one_that_lost(recipes: Path, tmp_path: Path) -> None:
    broken = ["tune={optimizer.lr: {choices: [1.0e+30]}}", "max_iters=3", "data.count=2"]
    found = tune(
        recipes / "plain.yaml", *broken, trials=2, out=tmp_path, progress=False, say=lambda _: None
    )
    assert found[0].scores and not found[1].scores
    assert best(found).number == 0
    again = tune(recipes / "plain.yaml", *broken, trials=2, out=tmp_path, progress=False)
    assert [trial.scores for trial in again] == [trial.scores for trial in found]


def test_mistakes(recipes: Path, tmp_path: Path) -> None:
    plain = recipes / "plain.yaml"
    assert "data.val is null" in refused("tune", plain, "data.val=null", "--out", tmp_path)
    assert "low and high, or choices" in refused("tune", plain, "tune={seed: {low: 1}}")
    assert "no such recipe" in refused("tune", plain, "--methods", "plain,unicorn")
    with pytest.raises(UserError, match="expected at least 1"):
        tune(plain, trials=0)
    with pytest.raises(UserError, match="--score 'iou': val has aAcc"):
        tune(plain, *SHORT, trials=1, score="iou", out=tmp_path / "x", progress=False)
