"""CVAT's segmentation masks: VOC's layout in the colours of a labelmap.txt."""

from __future__ import annotations

from collections.abc import Sequence

from bpkd.datasets.annotations.common import Annotations
from bpkd.datasets.annotations.format import Format
from bpkd.datasets.annotations.masks import code
from bpkd.datasets.annotations.palettes import class_masks, samples
from bpkd.datasets.annotations.tree import Tree
from bpkd.datasets.classes import as_colour
from bpkd.datasets.colours import Colour
from bpkd.datasets.lists import read_lines
from bpkd.errors import UserError

FORMAT = Format(
    "cvat-masks",
    "CVAT segmentation mask 1.1",
    __name__,
    recognised="labelmap.txt beside SegmentationClass",
    cannot="objects under others, crowds",
    overlap=None,
)

_VOID = ("ignored", "void", "ignore")


def recognised(tree: Tree) -> bool:
    """Whether there is a labelmap.txt beside a folder SegmentationClass."""
    return bool(tree.ending("labelmap.txt")) and bool(class_masks(tree))


def read(tree: Tree, classes: Sequence[str] | None = None) -> Annotations:
    """All masks that have a photo; classes and colours are those of labelmap.txt."""
    colours: dict[str, Colour] = {}
    for file in tree.ending("labelmap.txt"):
        for line in read_lines(file):
            if line.startswith("#"):
                continue
            name, colon, rest = line.partition(":")
            if not colon:
                raise UserError(f"{file}: {line!r}: expected NAME:R,G,B:parts:actions")
            colour = as_colour(rest.split(":")[0].split(","), f"{file}, {name}")
            if colours.setdefault(name, colour) != colour:
                raise UserError(
                    f"{file}: {name!r} has another colour than in a second labelmap.txt"
                )
    void = [name for name in colours if name.lower() in _VOID]
    names = [name for name in colours if name not in void]
    values = {code(colour): None if name in void else name for name, colour in colours.items()}
    if len(values) < len(colours):
        raise UserError(f"{tree.root}: two labels of labelmap.txt share a colour")
    background = next((name for name in names if name.lower() == "background"), None)
    found = samples(tree, True, "CVAT")
    shown = {name: colours[name] for name in names}
    return Annotations(found, names, shown, values, background=background)
