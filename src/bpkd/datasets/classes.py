"""Class names and their colours: given, read from a file, or made up."""

from __future__ import annotations

import colorsys
import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import yaml

from bpkd.errors import UserError
from bpkd.support.messages import one_line

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
    root: Path, classes: Sequence[Any] | Mapping[Any, Any] | str | Path | None
) -> tuple[list[str], list[Colour] | None]:
    """Names, and colours where they are given.

    Args:
        root: folder that files of classes are relative to.
        classes: names; or a list of ``{name, color: [r, g, b]}``; or ``{index: name}``, known as
            id2label; or a CSV, YAML or JSON file of them; or None for ``classes.csv`` or
            ``classes.yaml`` in ``root``.

    Raises:
        UserError: there are none, two share a name, or a colour is none.

    >>> class_list(Path("."), ["road", "car"])
    (['road', 'car'], None)
    >>> class_list(Path("."), {"1": "car", "0": "road"})
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
    if isinstance(classes, Mapping):
        classes = _in_order(classes, where)
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


def _in_order(names: Mapping[Any, Any], where: str) -> list[Any]:
    """The names of ``{index: name}``, which has every index from 0 on."""
    by_index = {str(index): name for index, name in names.items()}
    indices = [str(i) for i in range(len(by_index))]
    if set(indices) != by_index.keys():
        raise UserError(
            f"{where} has the keys {', '.join(list(by_index)[:3])}...: expected each index from 0 "
            f"to {len(by_index) - 1} with its name, or a list of names"
        )
    return [by_index[index] for index in indices]


def _read_classes(file: Path) -> Any:
    if not file.is_file():
        raise UserError(f"classes file {file} does not exist: expected CSV, YAML or JSON")
    try:
        text = file.read_text(encoding="utf-8-sig")
        if file.suffix.lower() != ".csv":
            return yaml.safe_load(text)
        rows = list(csv.DictReader(text.splitlines(), skipinitialspace=True))
    except (OSError, UnicodeDecodeError, yaml.YAMLError, csv.Error) as error:
        raise UserError(f"classes file {file} cannot be read: {one_line(error)}") from None
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


def listed(names: str) -> list[str]:
    """Names that commas part, on as many lines as they need.

    >>> listed('''
    ... traffic light, road,
    ... car
    ... ''')
    ['traffic light', 'road', 'car']
    """
    return [" ".join(name.split()) for name in names.split(",")]


def hex_palette(colours: str) -> list[Colour]:
    """Colours written as RRGGBB, parted by white space.

    >>> hex_palette("ff0000 00800a")
    [(255, 0, 0), (0, 128, 10)]
    """
    return [(code[0], code[1], code[2]) for code in map(bytes.fromhex, colours.split())]


def bit_palette(count: int) -> list[Colour]:
    """The colours of PASCAL VOC's label maps.

    The bits of an index go to red, green and blue in turn, the lowest to the highest bit of each.

    >>> bit_palette(4), bit_palette(10)[9]
    ([(0, 0, 0), (128, 0, 0), (0, 128, 0), (128, 128, 0)], (192, 0, 0))
    """

    def channel(index: int, first: int) -> int:
        return sum((index >> (3 * k + first) & 1) << (7 - k) for k in range(8))

    return [(channel(i, 0), channel(i, 1), channel(i, 2)) for i in range(count)]
