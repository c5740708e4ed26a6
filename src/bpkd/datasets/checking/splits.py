"""Every split opened before the long walk: which cannot be, and which files make no pair."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bpkd.datasets.checking.examining import Problem
from bpkd.datasets.checking.opening import Opened
from bpkd.datasets.folder import Folder
from bpkd.datasets.unpaired import collecting_unpaired
from bpkd.errors import UserError


@dataclass
class Split:
    """A split that can be walked through.

    Attributes:
        name: the data set's own.
        data: by the contract of :mod:`bpkd.datasets`; the pairs.
        problems: what makes no pair.
        unused: label maps without an image, where a data set may have such.
        images: how many there are, with and without a label map.
    """

    name: str
    data: Any
    problems: list[Problem]
    unused: list[Path]
    images: int


def open_splits(found: Opened) -> tuple[list[Split], dict[str, str]]:
    """The splits that can be opened; and of the others, by their names, why they cannot.

    Raises:
        UserError: none can be opened: what is wrong with the first.
    """
    splits: list[Split] = []
    failures: dict[str, UserError] = {}
    for name in found.splits:
        try:
            split = open_split(found, name)
            _check_classes(split, splits)
            splits.append(split)
        except UserError as error:
            failures[name] = error
    if not splits:
        raise next(iter(failures.values()))
    return splits, {
        name: str(error).removeprefix("data: ") + _advice(found, name)
        for name, error in failures.items()
    }


def _check_classes(split: Split, others: list[Split]) -> None:
    """Files may say which classes there are, and each split has its own."""
    if others and list(split.data.classes) != list(others[0].data.classes):
        counts = f"{len(split.data.classes)} and not {len(others[0].data.classes)}"
        raise UserError(
            f"it has other classes than {others[0].name}, {counts}: name those that count in "
            "data.classes"
        )


def open_split(found: Opened, name: str) -> Split:
    """A split by the data set's own name.

    In a published data set each label map has its image: one that has none is a problem.

    Raises:
        UserError: it cannot be built, or is empty.
    """
    with collecting_unpaired() as unpaired:
        data = found.build(name)
    problems = [
        Problem(image.stem, f"{image} has no label map {labels}")
        for image, labels in unpaired.images
    ]
    problems += [Problem(*fault) for fault in unpaired.others]
    unused = [labels for labels, _ in unpaired.labels]
    if _published(data):
        unused = []
        problems += [
            Problem(labels.stem, f"{labels} has no image {image}")
            for labels, image in unpaired.labels
        ]
    if not len(data) and not problems:
        raise UserError(f"data: the split {name!r} is empty; check its files")
    return Split(name, data, problems, unused, len(data) + len(unpaired.images))


def published_count(data: Any) -> int | None:
    """How many images the split of a published data set has; None where that is not known.

    >>> from bpkd.datasets.camvid import CamVid
    >>> data = CamVid.__new__(CamVid)
    >>> data.split = "train+val"
    >>> published_count(data), published_count([])
    (468, None)
    """
    counts = _published(data)
    parts = set(data.split.split("+")) if counts else set()
    return sum(counts[part] for part in parts) if parts and parts <= counts.keys() else None


def _published(data: Any) -> Mapping[str, int]:
    return data.published if isinstance(data, Folder) else {}


def _advice(found: Opened, name: str) -> str:
    """How a split that there is not is left out, if training can do without it."""
    roles = [role for role in ("val", "test") if getattr(found.data, role) == name]
    return f"; {' '.join(f'data.{role}=null' for role in roles)} leaves it out" if roles else ""
