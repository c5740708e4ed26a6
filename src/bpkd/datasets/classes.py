"""Class names and their colours: given, read from a file, or made up."""

from __future__ import annotations

import colorsys
import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import yaml

from bpkd.errors import UserError

Colour: TypeAlias = tuple[int, int, int]


def spaced_palette(count: int) -> list[Colour]:
    """Colours that are easy to tell apart, always the same for the same count.

    Hues step by the golden ratio, which keeps any number of them spread out; brightness and
    saturation change with each turn, so that near hues differ too.

    >>> spaced_palette(3)
    [(217, 54, 54), (54, 102, 217), (149, 217, 54)]
    """
    colours = []
    for i in range(count):
        saturation = (0.75, 0.5, 1.0)[i // 8 % 3]
        value = (0.85, 0.6, 1.0)[i // 8 // 3 % 3]
        rgb = colorsys.hsv_to_rgb(i * 0.618034 % 1, saturation, value)
        colours.append((round(rgb[0] * 255), round(rgb[1] * 255), round(rgb[2] * 255)))
    return colours


def class_list(
    root: Path, classes: Sequence[Any] | str | Path | None
) -> tuple[list[str], list[Colour] | None]:
    """Names, and colours where they are given.

    Args:
        root: folder that files of classes are relative to.
        classes: names; or a list of ``{name, color: [r, g, b]}``; or a CSV or YAML file of them;
            or None for ``classes.csv`` or ``classes.yaml`` in ``root``.

    Raises:
        UserError: there are none, two share a name, or a colour is none.

    >>> class_list(Path("."), ["road", "car"])
    (['road', 'car'], None)
    """
    where = "classes"
    if classes is None:
        found = [file for file in ("classes.csv", "classes.yaml") if (root / file).is_file()]
        if not found:
            raise UserError(
                f"the classes are not known: give `classes` a list of names, or put a classes.csv "
                f"(header name,r,g,b) or classes.yaml into {root}"
            )
        classes = found[0]
    if isinstance(classes, str | Path):
        file = root / Path(classes).expanduser()
        where, classes = str(file), _read_classes(file)
    if isinstance(classes, str) or not isinstance(classes, Sequence) or not classes:
        raise UserError(f"{where} lists no classes: expected names, or entries with name and color")
    names = [str(c.get("name", "") if isinstance(c, Mapping) else c).strip() for c in classes]
    colours = [c.get("color", c.get("colour")) if isinstance(c, Mapping) else None for c in classes]
    if not all(names) or len(set(names)) < len(names):
        twice = next((name for name in names if names.count(name) > 1), "")
        raise UserError(f"{where}: each class needs a name of its own, got {twice!r} twice or more")
    if all(colour is None for colour in colours):
        return names, None
    return names, [as_colour(colour, where) for colour in colours]


def _read_classes(file: Path) -> Any:
    if not file.is_file():
        raise UserError(f"classes file {file} does not exist: expected a CSV or YAML file")
    try:
        text = file.read_text(encoding="utf-8-sig")
        if file.suffix.lower() != ".csv":
            return yaml.safe_load(text)
        rows = list(csv.DictReader(text.splitlines(), skipinitialspace=True))
    except (OSError, UnicodeDecodeError, yaml.YAMLError, csv.Error) as error:
        raise UserError(
            f"classes file {file} cannot be read: {' '.join(str(error).split())}"
        ) from None
    if rows and "name" not in rows[0]:
        raise UserError(f"{file} has the columns {list(rows[0])}: expected name,r,g,b")
    coloured = bool(rows) and {"r", "g", "b"} <= rows[0].keys()
    return [
        {"name": row["name"], "color": [row[c] for c in "rgb"] if coloured else None}
        for row in rows
    ]


def as_colour(colour: Any, where: str) -> Colour:
    """Three channels as whole numbers from 0 to 255; ``where`` is for the message.

    >>> as_colour(["1", 2, 3], "palette")
    (1, 2, 3)
    """
    try:
        red, green, blue = (int(channel) for channel in colour)
    except (TypeError, ValueError):
        raise UserError(f"{where}: {colour!r} is no colour: expected [r, g, b]") from None
    if not all(0 <= channel <= 255 for channel in (red, green, blue)):
        raise UserError(f"{where}: colour {colour!r} is outside 0 to 255")
    return red, green, blue
