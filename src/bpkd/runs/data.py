"""What a run found in its data when it began, kept in its folder as ``data.json``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from bpkd.recipe.sections import Data
from bpkd.support.files import replacing

_FILE = "data.json"


def write_data(folder: Path, found: dict[str, Any]) -> None:
    """Keep what :func:`bpkd.datasets.checking.first_look.look` found."""
    with replacing(folder / _FILE, make_folder=False) as file:
        file.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


def measured_range(folder: Path) -> tuple[float, float] | None:
    """Black and white of the images of more than 8 bits that a run was trained on, if measured."""
    try:
        black, white = json.loads((folder / _FILE).read_text(encoding="utf-8"))["value_range"]
        return (black, white) if black < white else None
    # A run from before there was such a file, one of 8 bits, or a file that somebody changed.
    except (OSError, ValueError, TypeError, KeyError):
        return None


def as_measured(folder: Path, data: Data) -> None:
    """Have a run's data set read in the range that was measured in training."""
    known = measured_range(folder)
    if known is not None and data.accepts("value_range") and "value_range" not in data.arguments:
        data.__pydantic_extra__["value_range"] = list(known)  # type: ignore[index]
