"""What a run found in its data when it began, kept in its folder as ``data.json``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from bpkd.datasets.images import MAX_PIXELS, Reading
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


def reading_of(folder: Path, data: Data, max_pixels: int | None = None) -> Reading:
    """How a run's photos are read: as its data set said, or as it was measured in training."""
    given = data.arguments.get("value_range")
    limit = max_pixels or data.arguments.get("max_pixels") or MAX_PIXELS
    return Reading(tuple(given) if given else measured_range(folder), max_pixels=limit)


def as_measured(folder: Path, data: Data) -> None:
    """Have a run's data set read in the range that was measured in training."""
    known = measured_range(folder)
    if known is not None and data.accepts("value_range") and "value_range" not in data.arguments:
        data.__pydantic_extra__["value_range"] = list(known)  # type: ignore[index]
