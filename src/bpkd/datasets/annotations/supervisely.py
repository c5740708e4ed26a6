"""Supervisely: a meta.json of classes, and a JSON an image with polygons, holes and bitmaps."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from bpkd.datasets.annotations.common import (
    Annotations,
    Drawing,
    Object,
    Sample,
    as_written_by,
    hex_colour,
    with_areas,
)
from bpkd.datasets.annotations.format import Format
from bpkd.datasets.annotations.pixels import Picture
from bpkd.datasets.annotations.polygons import Polygon, Shape, outline, rectangle
from bpkd.datasets.annotations.tree import Tree, holds, read_json

FORMAT = Format(
    "supervisely",
    "Supervisely JSON",
    __name__,
    recognised="meta.json, and JSONs in folders ann",
    cannot="crowds; lines and points are passed over",
)


def recognised(tree: Tree) -> bool:
    """Whether there is a meta.json with classes, and a JSON in a folder ann."""
    return _meta(tree) is not None and bool(_files(tree))


def read(tree: Tree, classes: Sequence[str] | None = None) -> Annotations:
    """A sample each file in a folder ann; its photo is in the folder img beside."""
    meta = _meta(tree)
    assert meta is not None
    with as_written_by("Supervisely", meta):
        entries = read_json(meta)["classes"]
        colours = {str(entry["title"]): hex_colour(entry.get("color")) for entry in entries}
    samples = []
    for file in _files(tree):
        image = file.parent.parent / "img" / file.stem
        if not image.is_file():
            image = tree.image(file.stem, file)
        samples.append(Sample(image, partial(drawing, file), tree.split(image)))
    background = next((name for name in colours if name.lower() in ("background", "bg")), None)
    known = {name: colour for name, colour in colours.items() if colour is not None}
    return Annotations(samples, list(colours), known, background=background)


def _meta(tree: Tree) -> Path | None:
    found = [file for file in tree.ending("meta.json") if holds(file, '"classes"', '"title"')]
    return found[0] if found else None


def _files(tree: Tree) -> list[Path]:
    return [file for file in tree.ending(".json") if file.parent.name == "ann"]


def drawing(file: Path) -> Drawing:
    """The objects of a file: the later one lies over the earlier."""
    content = read_json(file)
    with as_written_by("Supervisely", file):
        shapes, without = with_areas(content["objects"], partial(_shape, where=str(file)))
        objects = [Object(str(each["classTitle"]), area) for each, area in shapes]
        size = (int(content["size"]["width"]), int(content["size"]["height"]))
        return Drawing(str(file), objects, size, without)


def _shape(entry: Any, where: str) -> Shape | None:
    kind = entry.get("geometryType") or ("bitmap" if entry.get("bitmap") else "polygon")
    if kind == "polygon":
        rings = [entry["points"]["exterior"], *entry["points"].get("interior", ())]
        # Its points are pixels; the centre of pixel 0 is at 0.5.
        return Polygon(tuple(outline(ring, where) + np.float32(0.5) for ring in rings))
    if kind == "rectangle":
        (x0, y0), (x1, y1) = outline(entry["points"]["exterior"], where).tolist()
        # Its corners are pixels that belong to it.
        return rectangle(min(x0, x1), min(y0, y1), max(x0, x1) + 1, max(y0, y1) + 1)
    if kind in ("bitmap", "alpha_mask"):
        bitmap = entry["bitmap"]
        left, top = map(int, bitmap["origin"])
        return Picture(where, bitmap["data"], left, top, by_alpha=True)
    return None
