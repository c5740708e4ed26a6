"""VGG Image Annotator (VIA 1 and 2): one JSON of regions, whose attributes name the class."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bpkd.datasets.annotations.common import (
    Annotations,
    Drawing,
    Known,
    Object,
    Sample,
    as_written_by,
    labels_in,
)
from bpkd.datasets.annotations.format import Format
from bpkd.datasets.annotations.polygons import Polygon, Shape, ellipse, outline, rectangle
from bpkd.datasets.annotations.tree import Tree, holds, read_json
from bpkd.errors import UserError

FORMAT = Format(
    "via",
    "VGG Image Annotator 2",
    __name__,
    recognised="a JSON with regions and filenames",
    cannot="holes, objects of several parts, crowds, the image's size; lines and points are "
    "passed over; VIA 3",
)

_USUAL = ("class", "label", "name", "type", "category", "object")
_ONE_CLASS = "object"


def recognised(tree: Tree) -> bool:
    """Whether a JSON file has regions with shapes."""
    return bool(_files(tree))


def read(tree: Tree, classes: Sequence[str] | None = None) -> Annotations:
    """All files: exported annotations, and projects with the annotations in them."""
    samples = []
    for file in _files(tree):
        content = read_json(file)
        with as_written_by("VIA", file):
            entries = list(content.get("_via_img_metadata", content).values())
            attribute = _attribute(file, entries)
            for entry in entries:
                image = tree.image(entry["filename"], file)
                drawing = _drawing(entry, attribute, f"{file}, {entry['filename']}")
                samples.append(Sample(image, Known(drawing), tree.split(image, named=file)))
    return Annotations(samples, labels_in(samples))


def _files(tree: Tree) -> list[Path]:
    return [f for f in tree.collections if holds(f, '"regions"', '"filename"', '"size"')]


def _regions(entry: Any) -> list[Any]:
    regions = entry.get("regions") or []
    return list(regions.values()) if isinstance(regions, dict) else regions


def _attribute(file: Path, entries: list[Any]) -> str | None:
    """The attribute that names the class; None where regions have none.

    Raises:
        UserError: there are several, and none is called as classes usually are.
    """
    regions = [region for entry in entries for region in _regions(entry)]
    found = Counter(key for region in regions for key in region.get("region_attributes") or ())
    usual = [key for key in found if key.lower() in _USUAL]
    if len(found) > 1 and len(usual) != 1:
        raise UserError(
            f"{file}: regions have the attributes {', '.join(found)}: call the one that names the "
            "class 'class', and no other one 'label', 'name' or 'type'"
        )
    return next(iter([*usual, *found]), None)


def _drawing(entry: Any, attribute: str | None, where: str) -> Drawing:
    objects, without = [], 0
    for region in _regions(entry):
        shape = _shape(region["shape_attributes"], where)
        label = _label(region.get("region_attributes") or {}, attribute, where)
        if shape is None:
            without += 1
        else:
            objects.append(Object(label, shape))
    return Drawing(where, objects, None, without)


def _label(attributes: Any, attribute: str | None, where: str) -> str:
    if attribute is None:
        return _ONE_CLASS
    label = attributes.get(attribute)
    if isinstance(label, dict):  # a box to tick for each class
        label = next((key for key, ticked in label.items() if ticked), None)
    if not label:
        raise UserError(f"{where}: a region has no {attribute!r}: give it a class in VIA")
    return str(label).strip()


def _shape(shape: Any, where: str) -> Shape | None:
    kind = shape["name"]
    if kind == "polygon":
        points = list(zip(shape["all_points_x"], shape["all_points_y"], strict=True))
        return Polygon((outline(points, where),))
    if kind == "rect":
        left, top = shape["x"], shape["y"]
        return rectangle(left, top, left + shape["width"], top + shape["height"])
    if kind == "circle":
        return ellipse(shape["cx"], shape["cy"], shape["r"], shape["r"])
    if kind == "ellipse":
        radians = shape.get("theta", 0.0)
        return ellipse(shape["cx"], shape["cy"], shape["rx"], shape["ry"], radians * 57.29577951)
    return None
