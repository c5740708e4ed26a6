"""What runs were asked for and where they ran: what differs, and what they share."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bpkd.recipe.loading import dump
from bpkd.recipe.schema import Recipe
from bpkd.report.html.sheet import Cell, Sheet

_NONE = "–"


def recipe_sheet(recipes: Mapping[str, Recipe]) -> Sheet:
    """The keys in which the recipes differ, a column a run."""
    flat = [flattened(recipe.model_dump(mode="json")) for recipe in recipes.values()]
    keys = list(dict.fromkeys(key for each in flat for key in each))
    lines = [[key, *(each.get(key, _NONE) for each in flat)] for key in keys]
    lines = [line for line in lines if len(set(line[1:])) > 1]
    rows = [[Cell(text) for text in line] for line in lines]
    return Sheet("", ["key", *recipes], rows, sortable=False)


def recipe_texts(recipes: Mapping[str, Recipe]) -> list[tuple[str, str]]:
    """Each run's recipe, whole."""
    return [(name, dump(recipe)) for name, recipe in recipes.items()]


def flattened(value: Any, key: str = "") -> dict[str, str]:
    """Nested settings as dotted keys.

    Example:
        >>> flattened({"data": {"root": "x", "size": [1, 2]}, "teacher": None, "losses": {}})
        {'data.root': 'x', 'data.size': '[1, 2]', 'teacher': 'null', 'losses': '{}'}
    """
    if isinstance(value, dict) and value:
        found: dict[str, str] = {}
        for name, inner in value.items():
            found |= flattened(inner, f"{key}.{name}" if key else str(name))
        return found
    return {key: value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)}


def environment_sheet(runs: Mapping[str, Path]) -> tuple[Sheet, list[str]]:
    """Where the runs were trained, and what is missing of that: a line each."""
    found, remarks = [], []
    for name, run in runs.items():
        try:
            known = json.loads((run / "environment.json").read_text(encoding="utf-8"))
            found.append({str(key): str(value) for key, value in known.items()})
        except (OSError, ValueError, AttributeError, RecursionError):
            found.append({})
            remarks.append(f"{name}: no whole environment.json, so where it ran is not known")
    keys = list(dict.fromkeys(key for each in found for key in each))
    rows = [[Cell(key), *(Cell(each.get(key, _NONE)) for each in found)] for key in keys]
    return Sheet("", ["", *runs], rows, sortable=False), remarks


def unfinished(
    runs: Mapping[str, Path], recipes: Sequence[Recipe], curves: Sequence[Any]
) -> list[str]:
    """A line about each run that has not come to its end."""
    lines = []
    for (name, _), recipe, found in zip(runs.items(), recipes, curves, strict=True):
        measured = [int(points[-1][0]) for key, points in found.items() if key.startswith("val/")]
        if recipe.max_iters and max(measured, default=0) < recipe.max_iters:
            at = f"iteration {max(measured)}" if measured else "an iteration that is not known"
            lines.append(
                f"{name} is not finished: measured as it was at {at} of {recipe.max_iters}"
            )
    return lines
