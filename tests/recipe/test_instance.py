"""Recipes on instances: which keys there are, and which belong to label maps alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from bpkd import UserError
from bpkd.recipe.instance import InstanceRecipe
from bpkd.recipe.loading import dump, load_recipe

FILE = """
data: {use: bpkd.datasets.instance_scenes.InstanceScenes}
student: {use: bpkd.networks.solov2_light_r18, frozen_stages: 0}
augment: {sizes: [[1333, 800], [1333, 640]], flip: 0.25}
evaluation: {size: [1333, 800], kernel: linear}
"""


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    file = tmp_path / "one.yaml"
    file.write_text(FILE)
    return file


def test_read_and_written_alike(recipe: Path) -> None:
    read = load_recipe(recipe)
    assert isinstance(read, InstanceRecipe)
    assert read.augment.sizes == [(1333, 800), (1333, 640)] and read.augment.crop is None
    assert read.evaluation.kernel == "linear" and read.evaluation.max_per_image == 100
    recipe.write_text(dump(read))
    assert load_recipe(recipe) == read


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("augment.cat_max_ratio=0.5", "unknown key 'augment.cat_max_ratio'"),
        ("augment.size=[[640, 480]]", "unknown key 'augment.size'; did you mean 'sizes'"),
        ("augment.sizes=[]", "augment.sizes"),
        ("augment.scale=[2, 1]", "augment.scale: expected \\[least, greatest\\]"),
        ("evaluation.mode=slide", "unknown key 'evaluation.mode'"),
        ("evaluation.size_limits=[96, 32]", "size_limits: expected the sides at which medium"),
        ("evaluation.kernel=box", "evaluation.kernel: expected 'gaussian' or 'linear'"),
        ("evaluation.score_threshold=2", "evaluation.score_threshold"),
    ],
)
def test_what_is_refused(recipe: Path, override: str, message: str) -> None:
    with pytest.raises(UserError, match=message) as refused:
        load_recipe(recipe, [override])
    assert "\n" not in str(refused.value)


def test_keys_of_instances_are_refused_for_label_maps() -> None:
    with pytest.raises(UserError, match=r"unknown key 'augment.sizes'"):
        load_recipe("demo/plain", ["augment.sizes=[[64, 64]]"])
    with pytest.raises(UserError, match=r"unknown key 'evaluation.size_limits'"):
        load_recipe("demo/plain", ["evaluation.size_limits=[16, 48]"])
