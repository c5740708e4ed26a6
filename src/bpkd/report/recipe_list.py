"""What recipes come along."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bpkd.errors import UserError
from bpkd.recipe.files import RECIPES, joined, shipped_recipes
from bpkd.support.columns import Columns
from bpkd.support.messages import suggestion

#: The paper's Table 3 measures runs of Table 2 class by class: it has no recipes of its own.
TABLE_3 = [
    f"table2/cityscapes/pspnet/{name}" for name in ("plain", "cwd", "bpkd", "bpkd_published")
]


def overview() -> str:
    """Each folder of recipes in a line or two, alternatives in braces as a shell has them.

    Example:
        >>> overview().splitlines()[3]
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
    lines.append("table3: rows of table2/cityscapes/pspnet, measured class by class")
    return "\n".join([*lines, "", "bpkd recipes WORD ... shows what those with these words train."])


def listing(words: Sequence[str]) -> Columns:
    """The recipes whose names hold all the words, with what each trains.

    Args:
        words: in any case; a dash is as good as an underscore.

    Raises:
        UserError: there is none.
    """
    asked = [_plain(word) for word in words]
    known = {name: name for name in shipped_recipes()} | {f"table3/{n}": n for n in TABLE_3}
    found = [real for name, real in known.items() if all(word in _plain(name) for word in asked)]
    names = list(dict.fromkeys(found))
    if not names:
        parts = dict.fromkeys(part for name in known for part in name.split("/"))
        unknown = next(
            (w for w in asked if not any(w in _plain(p) for p in parts)), "/".join(words)
        )
        raise UserError(
            f"no recipe has {' and '.join(map(repr, words))} in its name; "
            f"{suggestion(unknown, parts)}; bpkd recipes lists all"
        )
    header = ("recipe", "learns by", "student", "teacher", "data", "iterations")
    rows = [[name, *_summary(joined(RECIPES / f"{name}.yaml"))] for name in names]
    return Columns(header, rows, numbers=False)


def _plain(name: str) -> str:
    """A word as names are compared: CWD is cwd, and pascal-context is pascal_context."""
    return name.lower().replace("-", "_")


def _summary(recipe: dict[str, Any]) -> list[str]:
    def target(section: object, parts: int = 1) -> str:
        if isinstance(section, dict):
            return ".".join(str(section.get("use", "-")).split(".")[-parts:])
        return str(section or "-")

    # A class says what it is; a function is one setting of its module's method.
    losses = [
        target(loss, parts=2 if target(loss).islower() else 1)
        for loss in (recipe.get("losses") or {}).values()
        if loss is not None
    ]
    given = recipe.get("max_iters", 40_000)
    iterations = f"{given:,}" if isinstance(given, int) else str(given)
    sections = [target(recipe.get(key)) for key in ("student", "teacher", "data")]
    return [", ".join(losses) or "-", *sections, iterations]
