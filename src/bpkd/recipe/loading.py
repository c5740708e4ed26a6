"""A recipe as it is read from a file and its bases, overrides applied; and as it is written."""

from __future__ import annotations

from pathlib import Path

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from pydantic import ValidationError

from bpkd.errors import UserError
from bpkd.recipe.files import RECIPES, change, find, first_line, read
from bpkd.recipe.findings import finding
from bpkd.recipe.schema import Recipe


def load_recipe(source: str | Path, overrides: list[str] | tuple[str, ...] = ()) -> Recipe:
    """Read a recipe, join it with the recipes it is based on, apply overrides, and check it all.

    A recipe without a ``name`` bears its file's; without a ``run``, its run is ``runs/NAME``, for
    a shipped recipe ``runs/camvid/NAME`` and the like.

    Args:
        source: a YAML file, or the name of a recipe that comes with the package
            (``camvid/bpkd``).
        overrides: ``key=value``, dotted: ``losses.bpkd.weight.edge=5``. The value is YAML and
            takes the place of what the recipe says, keys and values included.

    Raises:
        UserError: one line that names the file, the key, what it got and what it expected.
    """
    path = find(source)
    content = read(path)
    for override in overrides:
        change(content, override)
    try:
        plain = OmegaConf.to_container(content, resolve=True)
    except OmegaConfBaseException as error:
        raise UserError(f"{path}: {first_line(error)}") from error
    assert isinstance(plain, dict)
    plain.setdefault("name", path.stem)
    shipped = path.parent.relative_to(RECIPES) if path.is_relative_to(RECIPES) else Path()
    plain.setdefault("run", str("runs" / shipped / str(plain["name"])))
    try:
        recipe = Recipe.model_validate(plain)
    except ValidationError as error:
        raise UserError(f"{path}: {finding(error, plain, Recipe)}") from None
    recipe.check(str(path))
    return recipe


def dump(recipe: Recipe) -> str:
    """A recipe as YAML that :func:`load_recipe` reads back."""
    # Not yaml's own: to OmegaConf "1e3" is a number, so text that looks like one needs its quotes.
    return OmegaConf.to_yaml(OmegaConf.create(recipe.model_dump(by_alias=True)))
