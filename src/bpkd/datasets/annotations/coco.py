"""COCO JSON: polygons of several parts, run lengths, crowds.

The layout is that of cocodataset.org/#format-data, read and checked by
:mod:`bpkd.datasets.coco_file`. Polygons need no library; compressed run lengths are read by
faster-coco-eval.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from bpkd.datasets.annotations.common import Annotations, Drawing, Object, Sample
from bpkd.datasets.annotations.format import Format
from bpkd.datasets.annotations.polygons import Patch, Polygon, Shape, outline, united
from bpkd.datasets.annotations.tree import Tree, holds
from bpkd.datasets.coco_file import ImageEntry, Packed, read_coco
from bpkd.datasets.decoding import mask_api
from bpkd.datasets.deep import Array
from bpkd.errors import UserError
from bpkd.support.messages import one_line

FORMAT = Format(
    "coco",
    "COCO JSON",
    __name__,
    recognised="a JSON with images, annotations and categories",
    cannot="holes in polygons, an order of objects; boxes without a segmentation are passed over",
    overlap="smaller",
    extra="instance (compressed run lengths)",
)

_KEYS = ('"images"', '"annotations"', '"categories"')


@dataclass(frozen=True)
class RunLengths:
    """COCO's run lengths, column by column: a list of counts, or text that packs them."""

    where: str
    counts: str | Sequence[int]
    height: int
    width: int

    def patch(self, height: int, width: int) -> Patch:
        """Its pixels; ``height`` and ``width`` must be its own."""
        if (height, width) != (self.height, self.width):
            raise UserError(
                f"{self.where}: run lengths of {self.width}x{self.height} on an image of "
                f"{width}x{height}: both must have one size"
            )
        return Patch(self._mask(), 0, 0)

    def _mask(self) -> Array:
        if not isinstance(self.counts, str):
            inside = np.arange(len(self.counts)) % 2 == 1
            return np.repeat(inside, self.counts).reshape(self.width, self.height).T
        api = mask_api("COCO's compressed run lengths")
        try:
            packed = {"size": [self.height, self.width], "counts": self.counts.encode()}
            decoded: Array = api.decode(packed).astype(bool)
        # The decoder, in C++, meets damaged run lengths with exceptions of several kinds.
        except Exception as error:
            why = one_line(error)[:80]
            raise UserError(
                f"{self.where}: run lengths that make no mask ({why}): export it anew"
            ) from None
        return decoded


def recognised(tree: Tree) -> bool:
    """Whether a JSON file has images, annotations and categories."""
    return bool(_files(tree))


def read(tree: Tree, classes: Sequence[str] | None = None) -> Annotations:
    """All files below the root; where some are called instances, those alone.

    Classes are in the order of their ids, joined by name over the files.
    """
    names: dict[str, int] = {}
    samples: dict[Path, Sample] = {}
    origin: dict[Path, Path] = {}
    remarks = []
    for file in _files(tree):
        content = read_coco(file)
        for number, name in content.categories.items():
            names.setdefault(name, number)
        if content.faults:
            image, fault = content.faults[0]
            remarks.append(f"{file}: {len(content.faults):,} left out, e.g. {image}: {fault}")
        entries = Packed(content.images)
        for index, entry in enumerate(content.images):
            photo = tree.image(entry.file_name, file)
            if photo in samples:
                raise UserError(
                    f"{file} and {origin[photo]} both annotate {photo}: take one of them away"
                )
            read_entry = partial(drawing, entries, index, content.categories, str(file))
            samples[photo] = Sample(photo, read_entry, tree.split(photo, named=file))
            origin[photo] = file
    in_order = sorted(names, key=lambda name: names[name])
    return Annotations(list(samples.values()), in_order, remarks=remarks)


def _files(tree: Tree) -> list[Path]:
    files = [file for file in tree.collections if holds(file, *_KEYS)]
    return [file for file in files if file.name.startswith("instances")] or files


def drawing(entries: Packed, index: int, named: Mapping[int, str], file: str) -> Drawing:
    """The objects of an image's entry."""
    entry: ImageEntry = entries[index]
    objects = [
        Object(
            named[each.category],
            _shape(each.segmentation, f"{file}, annotation {each.id}"),
            each.crowd,
        )
        for each in entry.annotations
    ]
    return Drawing(f"{file}, image {entry.id}", objects, (entry.width, entry.height))


def _shape(segmentation: Any, where: str) -> Shape:
    if isinstance(segmentation, dict):
        height, width = segmentation["size"]
        return RunLengths(where, segmentation["counts"], height, width)
    return united([Polygon((outline(part, where),)) for part in segmentation])
