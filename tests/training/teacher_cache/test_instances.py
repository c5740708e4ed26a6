"""What a teacher of objects says, kept: category grids, kernels, mask features, levels."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.instance_runs import TINY
from tests.runs import run
from tests.training.teacher_cache.test_runs import held, no_teacher, same

LOSSES = """
  bpkd: {use: bpkd.losses.instance.bpkd.InstanceBPKD}
  fgd: {use: bpkd.losses.fgd.FGD}
  crosskd: {use: bpkd.losses.instance.crosskd.InstanceCrossKD, rest: 0}
"""


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    """A taught run with a cache."""
    (tmp_path / "tiny.yaml").write_text(TINY)
    teacher = run(tmp_path / "tiny.yaml", "teacher", "max_iters=1", "data.val=null", "seed=3")
    file = tmp_path / "taught.yaml"
    cache = tmp_path / "cache"
    file.write_text(
        f"base: tiny.yaml\nteacher: {teacher}\nteacher_cache: {cache}\ndraws: 4\n"
        f"augment: {{crop: [48, 64]}}\nlosses:{LOSSES}"
    )
    return file


def test_warm_equals_cold_and_asks_nobody(recipe: Path) -> None:
    cold = run(recipe, "cold")
    assert {"category.0", "kernels.4", "mask_features", "features.p2"} <= held(recipe).keys()
    with no_teacher():
        warm = run(recipe, "warm")
        other = run(recipe, "other", "seed=5", "student.kernel_channels=64")
    assert same(cold, warm) and (other / "student.safetensors").is_file()
