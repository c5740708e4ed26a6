"""The parts of a recipe, before a run begins."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from bpkd.errors import UserError
from bpkd.recipe.loading import load_recipe
from bpkd.training import building


def test_splits_of_other_classes(recipe: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def data(recipe: object, split: str) -> SimpleNamespace:
        return SimpleNamespace(classes=["car"] if split == "train" else ["car", "dragon"])

    monkeypatch.setattr(building, "build_data", data)
    with pytest.raises(UserError, match="'val' has other classes than 'train', 2 and 1: name"):
        building.build(load_recipe(recipe))
