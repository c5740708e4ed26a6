"""CVAT for images 1.1: XML with polygons, boxes, ellipses and masks in layers."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from xml.etree import ElementTree

from bpkd.datasets.annotations.common import (
    Annotations,
    Drawing,
    Known,
    Object,
    Sample,
    as_written_by,
    hex_colour,
    split_of,
    with_areas,
)
from bpkd.datasets.annotations.format import Format
from bpkd.datasets.annotations.grouping import grouped
from bpkd.datasets.annotations.pixels import Runs
from bpkd.datasets.annotations.polygons import Polygon, Shape, ellipse, outline, rectangle
from bpkd.datasets.annotations.tree import Tree, holds
from bpkd.errors import UserError
from bpkd.support.messages import one_line

FORMAT = Format(
    "cvat",
    "CVAT for images 1.1",
    __name__,
    recognised="an XML of version 1.1 with images",
    cannot="holes in polygons, crowds; lines, points, cuboids and skeletons are passed over",
)

_NO_SHAPES = ("tag", "attribute")


def recognised(tree: Tree) -> bool:
    """Whether an XML file holds annotations in CVAT's version 1.1."""
    return bool(_files(tree))


def read(tree: Tree, classes: Sequence[str] | None = None) -> Annotations:
    """All files below the root; the classes as the files declare them, with their colours."""
    samples: dict[Path, Sample] = {}
    colours: dict[str, tuple[int, int, int] | None] = {}
    for file in _files(tree):
        try:
            root = ElementTree.parse(file).getroot()
        except (ElementTree.ParseError, OSError, LookupError) as error:
            raise UserError(
                f"{file} is no readable XML ({one_line(error)}): export it anew"
            ) from None
        with as_written_by("CVAT", file):
            for label in root.iterfind("./meta//labels/label"):
                if not label.findtext("parent"):  # a point of a skeleton
                    name = label.findtext("name") or ""
                    colours.setdefault(name, hex_colour(label.findtext("color")))
            if root.find("image") is None and root.find("track") is not None:
                raise UserError(f"{file} holds tracks of a video: export 'CVAT for images 1.1'")
            for sample in _samples(tree, file, root):
                if sample.image in samples:
                    raise UserError(f"{file}: {sample.image} is annotated twice; take one away")
                samples[sample.image] = sample
    names = list(colours) or sorted(_labels(list(samples.values())))
    known = {name: colour for name, colour in colours.items() if colour is not None}
    background = next((name for name in names if name.lower() == "background"), None)
    return Annotations(list(samples.values()), names, known, background=background)


def _files(tree: Tree) -> list[Path]:
    return [
        file
        for file in tree.ending(".xml")
        if holds(file, "<annotations>", "<version>1.1", first=2**12)
    ]


def _labels(samples: Sequence[Sample]) -> set[str]:
    drawings = [sample.read() for sample in samples]
    return {
        o.label for drawing in drawings if isinstance(drawing, Drawing) for o in drawing.objects
    }


def _samples(tree: Tree, file: Path, root: ElementTree.Element) -> list[Sample]:
    samples = []
    for entry in root.iterfind("image"):
        image = tree.image(entry.attrib["name"], file)
        where = f"{file}, image {entry.attrib['name']}"
        # The layer first; in a layer the file's order.
        layers = sorted(entry, key=lambda shape: int(shape.get("z_order", 0)))
        elements = (each for each in layers if each.tag not in _NO_SHAPES)
        shapes, without = with_areas(elements, partial(_shape, where=where))
        objects = [
            (int(each.get("group_id", 0)), Object(each.attrib["label"], area))
            for each, area in shapes
        ]
        size = (int(entry.attrib["width"]), int(entry.attrib["height"]))
        drawing = Drawing(where, grouped(objects), size, without)
        split = split_of(entry.get("subset", "")) or tree.split(image, named=file)
        samples.append(Sample(image, Known(drawing), split))
    return samples


def _shape(element: ElementTree.Element, where: str) -> Shape | None:
    def numbers(*names: str) -> list[float]:
        return [float(element.attrib[name]) for name in names]

    turned = float(element.get("rotation", 0))
    if element.tag == "polygon":
        points = [pair.split(",") for pair in element.attrib["points"].split(";")]
        return Polygon((outline(points, where),))
    if element.tag == "box":
        left, top, right, bottom = numbers("xtl", "ytl", "xbr", "ybr")
        return rectangle(left, top, right, bottom, turned)
    if element.tag == "ellipse":
        x, y, rx, ry = numbers("cx", "cy", "rx", "ry")
        return ellipse(x, y, rx, ry, turned)
    if element.tag == "mask":
        counts = tuple(int(count) for count in element.attrib["rle"].split(","))
        box = [int(n) for n in numbers("left", "top", "width", "height")]
        return Runs(where, counts, *box)
    return None
