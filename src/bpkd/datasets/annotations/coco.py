"""COCO JSON: polygons of several parts, run lengths, crowds.

The layout is that of cocodataset.org/#format-data. Polygons need no library; compressed run
lengths are read by faster-coco-eval.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bpkd.datasets.annotations.common import (
    Annotations,
    Drawing,
    Known,
    Object,
    Sample,
    as_written_by,
)
from bpkd.datasets.annotations.polygons import Patch, Polygon, Shape, outline, united
from bpkd.datasets.annotations.tree import Tree, holds, read_json
from bpkd.datasets.deep import Array
from bpkd.errors import UserError
from bpkd.support.extras import extra

_KEYS = ('"images"', '"annotations"', '"categories"')


@dataclass(frozen=True)
class RunLengths:
    """COCO's run lengths, column by column: a list of counts, or text that packs them."""

    where: str
    counts: str | tuple[int, ...]
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
        if isinstance(self.counts, str):
            coco = extra("faster_coco_eval.core.mask", "COCO's compressed run lengths", "instance")
            packed = {"size": [self.height, self.width], "counts": self.counts.encode()}
            decoded: Array = coco.decode(packed).astype(bool)
            return decoded
        if sum(self.counts) != self.height * self.width:
            raise UserError(f"{self.where}: run lengths do not fill the image: export it anew")
        inside = np.arange(len(self.counts)) % 2 == 1
        return np.repeat(inside, self.counts).reshape(self.width, self.height).T


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
    for file in _files(tree):
        content = read_json(file)
        with as_written_by("COCO", file):
            named = {entry["id"]: str(entry["name"]) for entry in content["categories"]}
            for number, name in sorted(named.items()):
                names.setdefault(name, number)
            for sample in _samples(tree, file, content, named):
                if sample.image in samples:
                    raise UserError(
                        f"{file} and {origin[sample.image]} both annotate {sample.image}: "
                        "take one of them away"
                    )
                samples[sample.image], origin[sample.image] = sample, file
    return Annotations(list(samples.values()), sorted(names, key=lambda name: names[name]))


def _files(tree: Tree) -> list[Path]:
    files = [file for file in tree.collections if holds(file, *_KEYS)]
    return [file for file in files if file.name.startswith("instances")] or files


def _samples(tree: Tree, file: Path, content: Any, named: dict[int, str]) -> list[Sample]:
    by_image = defaultdict(list)
    for entry in content["annotations"]:
        by_image[entry["image_id"]].append(entry)
    samples = []
    for entry in content["images"]:
        image = tree.image(str(entry["file_name"]), file)
        size = (int(entry["width"]), int(entry["height"]))
        where = f"{file}, image {entry['id']}"
        objects, without = [], 0
        for annotation in by_image.pop(entry["id"], ()):
            shape = _shape(annotation.get("segmentation"), where)
            if annotation["category_id"] not in named:
                raise UserError(f"{where}: category {annotation['category_id']} is not declared")
            if shape is None:
                without += 1
                continue
            label = named[annotation["category_id"]]
            objects.append(Object(label, shape, bool(annotation.get("iscrowd", 0))))
        drawing = Drawing(where, objects, size, without)
        samples.append(Sample(image, Known(drawing), tree.split(image, named=file)))
    if by_image:
        raise UserError(f"{file} annotates the image {next(iter(by_image))!r}, which it lacks")
    return samples


def _shape(segmentation: Any, where: str) -> Shape | None:
    if isinstance(segmentation, dict):
        height, width = map(int, segmentation["size"])
        counts = segmentation["counts"]
        packed = counts if isinstance(counts, str) else tuple(map(int, counts))
        return RunLengths(where, packed, height, width)
    parts = [Polygon((outline(part, where),)) for part in segmentation or () if len(part) >= 6]
    return united(parts) if parts else None
