"""What runs were asked for and where they ran: what differs, and what they share."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
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


@dataclass
class Environments:
    """Where runs were trained.

    Attributes:
        shared: what is the same in all.
        sheet: the rest, a column a run.
        remarks: what is missing: a line each.
    """

    shared: list[tuple[str, str]]
    sheet: Sheet
    remarks: list[str]


def environments(runs: Mapping[str, Path]) -> Environments:
    """What the runs' ``environment.json`` say."""
    found, remarks = [], []
    for name, run in runs.items():
        try:
            known = json.loads((run / "environment.json").read_text(encoding="utf-8"))
            found.append({str(key): str(value) for key, value in known.items()})
        except (OSError, ValueError, AttributeError, RecursionError):
            found.append({})
            remarks.append(f"{name}: no whole environment.json, so where it ran is not known")
    keys = list(dict.fromkeys(key for each in found for key in each))
    lines = {key: [each.get(key, _NONE) for each in found] for key in keys}
    shared = [(key, values[0]) for key, values in lines.items() if len(set(values)) == 1]
    rows = [
        [Cell(key), *map(Cell, values)] for key, values in lines.items() if len(set(values)) > 1
    ]
    return Environments(shared, Sheet("", ["", *runs], rows, sortable=False), remarks)
