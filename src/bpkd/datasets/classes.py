"""Class names and their colours: given, read from a file, or made up."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from bpkd.datasets.colours import Colour
from bpkd.errors import UserError
from bpkd.support.messages import one_line, printable
from bpkd.support.yaml_names import quoted_names

#: Where the classes are looked for; Roboflow writes the last one beside the label maps.
_FILES = ("classes.csv", "classes.yaml", "_classes.csv", "train/_classes.csv")


def class_list(
    root: Path, classes: Sequence[Any] | Mapping[Any, Any] | str | Path | None
) -> tuple[list[str], list[Colour] | None]:
    """Names, and colours where they are given.

    Args:
        root: folder that files of classes are relative to.
        classes: names; or a list of ``{name, color: [r, g, b]}``; or ``{index: name}``, known as
            id2label; or a CSV, YAML or JSON file of them; or None for ``classes.csv``,
            ``classes.yaml`` or Roboflow's ``_classes.csv`` in ``root``.

    Raises:
        UserError: there are none, two share a name, or a colour is none.

    >>> class_list(Path("."), ["road", "car"])
    (['road', 'car'], None)
    >>> class_list(Path("."), {"1": "car", "0": "road"})
    (['road', 'car'], None)
    """
    where = "classes"
    if classes is None:
        found = [file for file in _FILES if (root / file).is_file()]
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
    check_names(names, where)
    if all(colour is None for colour in colours):
        return names, None
    return names, [as_colour(colour, where) for colour in colours]


def check_names(names: Sequence[str], where: str) -> None:
    """Refuse names that would command a terminal, or end a text.

    Raises:
        UserError: one has a control character.

    >>> check_names(["traffic light", "Straße"], "classes")
    """
    if odd := [name for name in names if printable(name) != name or "\n" in name]:
        raise UserError(
            f"{where}: the name {odd[0]!r} holds a control character: take it out of the name"
        )


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
            return yaml.safe_load(quoted_names(text, "classes"))
        rows = list(csv.DictReader(text.splitlines(), skipinitialspace=True))
    except (OSError, UnicodeDecodeError, yaml.YAMLError, csv.Error) as error:
        raise UserError(f"classes file {file} cannot be read: {one_line(error)}") from None
    columns = {str(column).strip().lower(): column for column in rows[0]} if rows else {}
    if {"pixel value", "class"} <= columns.keys():  # Roboflow's
        value, name = columns["pixel value"], columns["class"]
        return {str(row[value]).strip(): row[name] for row in rows}
    if rows and "name" not in columns:
        raise UserError(f"{file} has the columns {list(rows[0])}: expected name,r,g,b")
    coloured = bool(rows) and {"r", "g", "b"} <= columns.keys()
    return [
        {
            "name": row[columns["name"]],
            "color": [row[columns[channel]] for channel in "rgb"] if coloured else None,
        }
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
