"""The data set of a recipe, by split."""

from __future__ import annotations

from typing import Any

from bpkd.errors import UserError
from bpkd.recipe.schema import Recipe


def build_data(recipe: Recipe, split: str) -> Any:
    """The data set of ``train``, ``val`` or ``test``, or of a split by the data set's own name."""
    own_name = recipe.data.own_name(split)
    data = recipe.data.built("data", split=own_name)
    if len(data) == 0:
        raise UserError(f"the split {own_name!r} of {recipe.data.use} is empty; check its files")
    return data
