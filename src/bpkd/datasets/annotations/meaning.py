"""What names and values of a folder's annotations mean among the classes that are asked for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bpkd.datasets.annotations.common import NOTHING, Annotations
from bpkd.datasets.annotations.masks import code, occurring
from bpkd.datasets.classes import as_colour
from bpkd.datasets.deep import Array
from bpkd.errors import UserError
from bpkd.support.messages import suggestion


@dataclass(frozen=True)
class Meaning:
    """Names and values to labels.

    Attributes:
        names: of what is annotated -> label.
        values: of masks -> label.
        background: label of what nothing covers.
    """

    names: Mapping[str, int]
    values: Mapping[int, int]
    background: int

    def of_values(self, values: Array, where: str) -> Array:
        """Labels (H, W) of a mask's values.

        Raises:
            UserError: a value has no meaning.
        """
        known = {NOTHING: self.background} | dict(self.values)
        there = occurring(values)
        unknown = [value for value in there if value not in known]
        if unknown:
            count = int(np.isin(values, unknown).sum())
            listed = ", ".join(map(_shown, unknown[:4])) + (", ..." if len(unknown) > 4 else "")
            raise UserError(
                f"{where} holds {listed} ({count} pixels), which no class has: give a class that "
                "`value` or `color`, or list it in `ignore`"
            )
        labels = np.array([known[value] for value in there], np.int32)
        if there and there[-1] < 2**16:
            table = np.zeros(there[-1] + 2, np.int32)
            table[there] = labels  # NOTHING is -1: the last place
            found: Array = table[values]
            return found
        found = labels[np.searchsorted(np.array(there), values)]
        return found

    def check(self, names: Sequence[str], where: str) -> None:
        """Refuse names that mean nothing.

        Raises:
            UserError: names the first of them.
        """
        for name in names:
            if name not in self.names:
                raise UserError(
                    f"{where} holds the class {name!r}, which is not among `classes`; "
                    f"{suggestion(name, self.names)} Add it, join it to one by `class_map`, or "
                    "list it in `ignore`"
                )


def meaning(
    found: Annotations,
    classes: Sequence[str],
    entries: Sequence[Any],
    class_map: Mapping[str, str],
    ignore: Sequence[Any],
    background: str | None,
    ignore_index: int,
) -> Meaning:
    """What a folder's names and values mean.

    Args:
        found: the folder's annotations.
        classes: names in the order of their indices.
        entries: the same as the recipe has them, perhaps with ``value`` or ``color``.
        class_map: a name in the annotations -> one of ``classes``.
        ignore: names, values and colours of pixels that belong to no class.
        background: the class of what nothing covers; None ignores it.
        ignore_index: label of what belongs to no class.

    Raises:
        UserError: ``class_map`` or ``background`` name no class.
    """
    index = {name: number for number, name in enumerate(classes)}
    for name in [*class_map.values(), *([] if background is None else [background])]:
        if name not in index:
            raise UserError(f"{name!r} is no class; {suggestion(name, index)}")
    names = {**index, **{name: index[target] for name, target in class_map.items()}}
    names.update(
        dict.fromkeys([*found.void, *(i for i in ignore if isinstance(i, str))], ignore_index)
    )
    values = _values(found, entries, names, ignore_index)
    for entry in ignore:
        if not isinstance(entry, str):
            values[entry if isinstance(entry, int) else code(as_colour(entry, "ignore"))] = (
                ignore_index
            )
    if ignore_index >= 0:
        values.setdefault(ignore_index, ignore_index)
    return Meaning(names, values, ignore_index if background is None else index[background])


def check_known(found: Annotations, key: str, names: Iterable[str]) -> None:
    """Refuse a name that the annotations cannot hold, where they say what they hold.

    Raises:
        UserError: names the key, the name and the nearest that there is.
    """
    known = {*found.classes, *found.void, *filter(None, [found.background, "background"])}
    for name in names:
        if found.classes and name not in known:
            raise UserError(
                f"{key}: {name!r} is no name in the annotations; {suggestion(name, found.classes)}"
            )


def _values(
    found: Annotations, entries: Sequence[Any], names: Mapping[str, int], ignore_index: int
) -> dict[int, int]:
    """By what the recipe says of each class; by what the folder declares; by the classes' order."""
    own: dict[int, int] = {}
    for number, entry in enumerate(entries):
        if isinstance(entry, Mapping) and "value" in entry:
            own[int(entry["value"])] = number
        elif isinstance(entry, Mapping) and found.by_colour:
            colour = entry.get("color", entry.get("colour"))
            if colour is not None:
                own[code(as_colour(colour, f"classes, {entry.get('name')}"))] = number
    if own:
        return own
    if found.values is None:
        return {number: number for number in range(len(entries))}
    renamed = _renamed(found.values, names, len(entries))
    return {
        value: ignore_index if name is None else renamed.get(name, names.get(name, -1))
        for value, name in found.values.items()
        if name is None or name in names or name in renamed
    }


def _renamed(
    values: Mapping[int, str | None], names: Mapping[str, int], count: int
) -> dict[str, int]:
    """Declared names that a recipe calls otherwise, by their places in the order.

    Only where there are as many classes as declared names, and those that kept their names stand
    in their places: anything else is no renaming.

    >>> _renamed({0: "a", 1: "b", 2: "c"}, {"a": 0, "B": 1, "c": 2}, 3)
    {'b': 1}
    >>> _renamed({0: "a", 1: "b", 2: "c"}, {"a": 0, "c": 1, "B": 2}, 3)
    {}
    """
    declared = [name for name in values.values() if name]
    kept = all(names.get(name, place) == place for place, name in enumerate(declared))
    if not kept or len(declared) != count:
        return {}
    return {name: place for place, name in enumerate(declared) if name not in names}


def _shown(value: int) -> str:
    return str(value) if value < 2**16 else f"the colour #{value:06x}"
