"""Runs that fill the paper's tables: which there are, and whether they follow the protocol."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bpkd.report.paper_numbers import METHODS
from bpkd.support.messages import shown

if TYPE_CHECKING:
    from bpkd.recipe.schema import Recipe

#: Keys that change where and how fast a run trains, not what it learns or how it is measured.
_OF_NO_ACCOUNT = re.compile(
    r"name|run|seed|draws|workers|devices|nodes|compile|checkpoint_every|data\.(root|train|val)"
    r"|teacher_cache(\.(folder|limit))?"
    r"|evaluation\.(every|batch_size|trimap_widths|dilation_ratio)"
)
#: Files: what counts is whether there is one.
_FILES = ("student.weights", "student.checkpoint", "teacher.checkpoint")


def finished_runs(row: Path, method: str) -> Iterator[Path]:
    """The folders of one row's runs, in the folder of its pair: METHOD, and METHOD-SEED."""
    for folder in sorted(row.glob(f"{method}*")):
        if re.fullmatch(rf"{method}(-\d+)?", folder.name) and _is_finished(folder):
            yield folder


def passed_over(row: Path, methods: Collection[str] = tuple(METHODS)) -> Iterator[str]:
    """Why folders beside the runs of rows, in the folder of their pair, fill none."""
    for folder in sorted(row.glob("*/")):
        own = re.fullmatch(r"(.+?)(-\d+)?", folder.name)
        if own is None or own[1] not in methods:
            yield f"{folder} is no row: expected METHOD or METHOD-SEED, of {', '.join(methods)}"
        elif not _is_finished(folder):
            yield f"{folder} is not finished (no student.safetensors): train it with --resume"


def differences(run: Path, row: str) -> str:
    """What a run's recipe has other than its row's, in one phrase; empty where they agree.

    Args:
        run: the run's folder.
        row: the name of the shipped recipe.
    """
    # Not imported above: published numbers alone do without.
    from bpkd.recipe.loading import load_recipe  # noqa: PLC0415

    recipe = load_recipe(run / "recipe.yaml")
    own, asked = _decisive(recipe), _decisive(load_recipe(row))
    own["images an iteration"] = _batch(run) or own["images an iteration"]
    if recipe.max_iters == 0:  # a network as it is: what training would be does not matter
        own, asked = _as_it_is(own), _as_it_is(asked)
    found = [
        f"{key} {_word(own.get(key))} ({_word(asked.get(key))})"
        for key in dict.fromkeys([*asked, *own])
        if own.get(key) != asked.get(key)
    ]
    more = f" and {len(found) - 5} more" if len(found) > 5 else ""
    return ", ".join(found[:5]) + more


def _is_finished(folder: Path) -> bool:
    return (folder / "student.safetensors").is_file() and (folder / "recipe.yaml").is_file()


def _decisive(recipe: Recipe) -> dict[str, Any]:
    """The dotted keys of a recipe that decide its numbers."""
    flat = dict(_flat(recipe.model_dump(mode="json", by_alias=True)))
    batch = flat.pop("batch_size") * flat.pop("accumulate")
    kept = {key: value for key, value in flat.items() if not _OF_NO_ACCOUNT.fullmatch(key)}
    kept |= {key: kept[key] is not None for key in _FILES if key in kept}
    return {"images an iteration": batch, **kept}


def _as_it_is(keys: dict[str, Any]) -> dict[str, Any]:
    """The keys that say which network it is, and how it is measured."""
    parts = ("data.", "student.", "evaluation.", "max_iters")
    return {key: value for key, value in keys.items() if key.startswith(parts)}


def _flat(content: dict[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in content.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{above}{key}.")
        else:
            yield f"{above}{key}", value


def _batch(run: Path) -> int | None:
    """The images an iteration took on all devices, as the run itself noted."""
    try:
        noted = str(json.loads((run / "environment.json").read_text(encoding="utf-8"))["batch"])
        return int(noted.rpartition(" ")[2])
    except (OSError, ValueError, KeyError, TypeError):  # it is only a note
        return None


def _word(value: Any) -> str:
    """A value in a message: a file is there or not."""
    if value is None or isinstance(value, bool):
        return {True: "yes", False: "no", None: "none"}[value]
    return shown(value, longest=24)
