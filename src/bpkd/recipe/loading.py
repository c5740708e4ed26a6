"""A recipe as it is read from a file and its bases, overrides applied; and as it is written."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from pydantic import ValidationError

from bpkd.errors import UserError
from bpkd.recipe.files import RECIPES, change, find, first_line, read
from bpkd.recipe.findings import finding
from bpkd.recipe.instance import schema_of
from bpkd.recipe.schema import Imports, Recipe
from bpkd.support.addresses import without_secrets
from bpkd.support.messages import shown


def load_recipe(
    source: str | Path, overrides: list[str] | tuple[str, ...] = (), imports: Imports = "all"
) -> Recipe:
    """Read a recipe, join it with the recipes it is based on, apply overrides, and check it all.

    A recipe without a ``name`` bears its file's; without a ``run``, its run is ``runs/NAME``, for
    a shipped recipe ``runs/camvid/NAME`` and the like.

    Args:
        source: a YAML file, or the name of a recipe that comes with the package
            (``camvid/bpkd``).
        overrides: ``key=value``, dotted: ``losses.bpkd.weight.edge=5``. The value is YAML and
            takes the place of what the recipe says, keys and values included.
        imports: what of the things that it names is imported and checked: ``all``, those of the
            ``known`` libraries, or ``none``.

    Raises:
        UserError: one line that names the file, the key, what it got and what it expected.
    """
    path = find(source)
    try:
        content = read(path)
        return _recipe(content, path, overrides, imports)
    except RecursionError as error:
        raise UserError(f"{path}: nested too deeply; a recipe needs a few levels") from error


def recipe_in(page: Path, content: dict[str, Any], overrides: Sequence[str] = ()) -> Recipe:
    """A whole recipe that stands in another file.

    Args:
        page: that file, for messages.
        content: its keys.
        overrides: ``key=value``, dotted.

    Raises:
        UserError: as :func:`load_recipe`.
    """
    return _recipe(OmegaConf.create(content), page, overrides)


def _recipe(
    content: DictConfig, path: Path, overrides: Sequence[str], imports: Imports = "all"
) -> Recipe:
    recipe = _validated(content, path, overrides, imports)
    recipe.check(str(path), imports)
    return recipe


def _validated(
    content: DictConfig, path: Path, overrides: Sequence[str], imports: Imports
) -> Recipe:
    for override in overrides:
        change(content, override)
    try:
        plain = OmegaConf.to_container(content, resolve=True)
    except (OmegaConfBaseException, ValueError, RecursionError) as error:
        raise UserError(f"{path}: {first_line(error)}") from error
    assert isinstance(plain, dict)
    plain.setdefault("name", path.stem)
    shipped = path.parent.relative_to(RECIPES) if path.is_relative_to(RECIPES) else Path()
    if plain.get("run") is None:
        plain["run"] = str("runs" / shipped / _folder_name(path, str(plain["name"])))
    schema = schema_of(plain, imports)  # type: ignore[arg-type]
    try:
        return schema.model_validate(plain)
    except ValidationError as error:
        raise UserError(f"{path}: {finding(error, plain, schema)}") from None


def _folder_name(path: Path, name: str) -> str:
    """A recipe's name as a folder below runs/.

    Raises:
        UserError: it leads out of there.
    """
    parts = Path(name).parts
    if not parts or ".." in parts or Path(name).is_absolute() or not name.isprintable():
        raise UserError(
            f"{path}: name: {shown(name)} is no folder below runs/; give a plain name, or say "
            "where the run goes by run=FOLDER"
        )
    return name


def dump(recipe: Recipe) -> str:
    """A recipe as YAML that :func:`load_recipe` reads back, without passwords in addresses."""
    # Not yaml's own: to OmegaConf "1e3" is a number, so text that looks like one needs its quotes.
    text = OmegaConf.to_yaml(OmegaConf.create(recipe.model_dump(by_alias=True)))
    return without_secrets(text)
