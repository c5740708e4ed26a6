"""LabelMe JSON: a file an image, with polygons, boxes, circles and masks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from bpkd.datasets.annotations.common import (
    Annotations,
    Drawing,
    Object,
    Sample,
    as_written_by,
    labels_in,
    with_areas,
)
from bpkd.datasets.annotations.format import Format
from bpkd.datasets.annotations.grouping import grouped
from bpkd.datasets.annotations.pixels import Picture
from bpkd.datasets.annotations.polygons import Polygon, Shape, ellipse, outline, rectangle
from bpkd.datasets.annotations.tree import Tree, holds, read_json

FORMAT = Format(
    "labelme",
    "LabelMe JSON",
    __name__,
    recognised="JSONs with shapes and imagePath",
    cannot="holes in polygons, crowds; lines and points are passed over",
)

_HEAD = 2**16  # the key "shapes" stands before the photo that such a file may hold


def recognised(tree: Tree) -> bool:
    """Whether a JSON file has shapes and the path of an image."""
    files = tree.ending(".json")
    some = files[:: max(len(files) // 20, 1)]
    return any(holds(file, '"shapes"', '"imagePath"') for file in some)


def read(tree: Tree, classes: Sequence[str] | None = None) -> Annotations:
    """A sample each file.

    The photo is the one that bears the file's name or, where there is none or several, the one
    that the file names.
    """
    samples = []
    for file in tree.ending(".json"):
        if not holds(file, '"shapes"', first=_HEAD):
            continue
        image = tree.beside(file)
        if image is None:
            with as_written_by("LabelMe", file):
                image = tree.image(read_json(file)["imagePath"], file)
        samples.append(Sample(image, partial(drawing, file), tree.split(image, file)))
    names = labels_in(samples) if classes is None else []
    background = "_background_" if "_background_" in names else None
    return Annotations(samples, names, background=background, void=("__ignore__",))


def drawing(file: Path) -> Drawing:
    """The shapes of a file; those of one group and label are one object."""
    content = read_json(file)
    with as_written_by("LabelMe", file):
        shapes, without = with_areas(content["shapes"], partial(_shape, where=str(file)))
        objects = [
            (each.get("group_id"), Object(str(each["label"]), area)) for each, area in shapes
        ]
        width, height = content.get("imageWidth"), content.get("imageHeight")
        size = (int(width), int(height)) if width and height else None
        return Drawing(str(file), grouped(objects), size, without)


def _shape(entry: Any, where: str) -> Shape | None:
    kind, points = entry.get("shape_type") or "polygon", entry["points"]
    if kind in ("polygon", "oriented_rectangle"):
        return Polygon((outline(points, where),))
    if kind == "rectangle":
        (x0, y0), (x1, y1) = outline(points, where).tolist()
        return rectangle(min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1))
    if kind == "circle":
        (x, y), edge = outline(points, where).tolist()
        radius = math.dist((x, y), edge)
        return ellipse(x, y, radius, radius)
    if kind == "mask":
        left, top = outline(points, where)[0].tolist()
        return Picture(where, entry["mask"], round(left), round(top))
    return None
