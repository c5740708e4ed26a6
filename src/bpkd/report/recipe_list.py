"""What recipes come along."""

from __future__ import annotations

from collections.abc import Sequence

from omegaconf import DictConfig, OmegaConf
from rich import box
from rich.table import Table
from rich.text import Text

from bpkd.errors import UserError
from bpkd.recipe_files import RECIPES, read, shipped_recipes


def overview() -> str:
    """Each folder of recipes in a line or two, alternatives in braces as a shell has them.

    Example:
        >>> overview().splitlines()[2]
        'demo/{bpkd,cwd,plain,teacher}'
    """
    folders: dict[tuple[str, int], list[list[str]]] = {}
    for name in shipped_recipes():
        parts = name.split("/")
        folders.setdefault((parts[0], len(parts)), []).append(parts)
    lines = []
    for recipes in folders.values():
        levels = [list(dict.fromkeys(level)) for level in zip(*recipes, strict=True)]
        lines.append("/".join(v[0] if len(v) == 1 else f"{{{','.join(v)}}}" for v in levels))
    return "\n".join([*lines, "", "bpkd recipes WORD ... shows what those with these words train."])


def listing(words: Sequence[str]) -> Table:
    """The recipes whose names hold all the words, with what each trains.

    Raises:
        UserError: there is none.
    """
    names = [name for name in shipped_recipes() if all(word in name for word in words)]
    if not names:
        raise UserError(
            f"no recipe has {' and '.join(map(repr, words))} in its name; bpkd recipes lists all"
        )
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for heading in ("recipe", "data", "student", "teacher", "learns by", "iterations"):
        table.add_column(heading, no_wrap=True)
    for name in names:
        table.add_row(*map(Text, (name, *_summary(read(RECIPES / f"{name}.yaml")))))
    return table


def _summary(recipe: DictConfig) -> list[str]:
    def target(section: object, parts: int = 1) -> str:
        if isinstance(section, DictConfig):
            return ".".join(str(section.get("use", "-")).split(".")[-parts:])
        return str(section or "-")

    # A class says what it is; a function is one setting of its module's method.
    losses = [
        target(loss, parts=2 if target(loss).islower() else 1)
        for loss in (recipe.get("losses") or {}).values()
        if loss is not None
    ]
    iterations = OmegaConf.select(recipe, "max_iters", default=40_000)
    sections = [target(recipe.get(key)) for key in ("data", "student", "teacher")]
    return [*sections, ", ".join(losses) or "-", f"{iterations:,}"]
