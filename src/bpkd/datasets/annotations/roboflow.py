"""Roboflow's semantic segmentation masks: NAME_mask.png beside NAME.jpg, values in _classes.csv."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from bpkd.datasets.annotations.common import Annotations, Sample, as_written_by
from bpkd.datasets.annotations.format import Format
from bpkd.datasets.annotations.masks import read_mask
from bpkd.datasets.annotations.tree import Tree
from bpkd.errors import UserError

FORMAT = Format(
    "roboflow",
    "Roboflow semantic masks",
    __name__,
    recognised="_classes.csv beside NAME_mask.png",
    cannot="objects",
    instances=False,
    overlap=None,
)

_END = "_mask.png"


def recognised(tree: Tree) -> bool:
    """Whether there is a _classes.csv of pixel values beside masks."""
    folders = {file.parent for file in _tables(tree)}
    return any(file.parent in folders for file in tree.ending(_END))


def read(tree: Tree, classes: Sequence[str] | None = None) -> Annotations:
    """Every mask beside its photo.

    Raises:
        UserError: two splits give a value different names.
    """
    values: dict[int, str | None] = {}
    origin: dict[int, Path] = {}
    samples, photoless = [], []
    for table in _tables(tree):
        for value, name in _rows(table):
            if values.setdefault(value, name) != name:
                raise UserError(
                    f"classes differ between splits: the value {value} is {values[value]!r} in "
                    f"{origin[value]} and {name!r} in {table}; export all splits together"
                )
            origin.setdefault(value, table)
        folder = table.parent
        photos = {image.stem: image for image in tree.images if image.parent == folder}
        for mask in (file for file in tree.ending(_END) if file.parent == folder):
            image = photos.get(mask.name[: -len(_END)])
            if image is None:
                photoless.append(mask)
            else:
                samples.append(Sample(image, partial(read_mask, mask), tree.split(mask)))
    names = [name for name in values.values() if name]
    background = next((name for name in names if name.lower() == "background"), None)
    remarks = [f"{len(photoless)} masks have no photo, e.g. {p}: left out" for p in photoless[:1]]
    return Annotations(samples, names, {}, values, background=background, remarks=remarks)


def _tables(tree: Tree) -> list[Path]:
    return tree.ending("_classes.csv")


def _rows(table: Path) -> list[tuple[int, str]]:
    """Value and name of each line below the header."""
    with as_written_by("Roboflow", table):
        lines = table.read_text(encoding="utf-8-sig").splitlines()
        rows = [row for row in csv.reader(lines[1:], skipinitialspace=True) if row]
        return [(int(value), name.strip()) for value, name, *_ in rows]
