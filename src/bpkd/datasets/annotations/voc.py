"""PASCAL VOC's layout: JPEGImages beside SegmentationClass, PNGs whose index is the class."""

from __future__ import annotations

from collections.abc import Sequence

from bpkd.datasets.annotations.common import Annotations
from bpkd.datasets.annotations.format import Format
from bpkd.datasets.annotations.masks import declared, values_in
from bpkd.datasets.annotations.palettes import class_masks, samples
from bpkd.datasets.annotations.tree import Tree
from bpkd.datasets.classes import bit_palette
from bpkd.datasets.voc import CLASSES

FORMAT = Format(
    "voc",
    "PASCAL VOC",
    __name__,
    recognised="SegmentationClass without labelmap.txt",
    cannot="names of classes, unless a file in the root has them; crowds",
    overlap=None,
)


def recognised(tree: Tree) -> bool:
    """Whether there is a folder SegmentationClass, and no labelmap.txt of CVAT."""
    return bool(class_masks(tree)) and not tree.ending("labelmap.txt")


def read(tree: Tree, classes: Sequence[str] | None = None) -> Annotations:
    """All masks that have a photo.

    Names are those of a file in the root, as ``class_names.txt``; or VOC's own 21, where the folder
    also holds VOC's boxes (``Annotations``); or the values. 255 is void.
    """
    found = samples(tree, False, "PASCAL VOC")
    given = declared(tree)
    remarks = []
    if given is not None:
        names, own = given
    elif any(file.parent.name == "Annotations" for file in tree.ending(".xml")):
        names, own = CLASSES, bit_palette(len(CLASSES))
    elif classes is not None:
        return Annotations(found, [])
    else:
        highest = max((value for value in values_in(found) if value != 255), default=0)
        names, own = [f"class_{value}" for value in range(highest + 1)], None
        remarks = ["no file names the classes: they are called by their values; rename them"]
    colours = dict(zip(names, own or (), strict=False))
    values: dict[int, str | None] = dict(enumerate(names)) | {255: None}
    background = next((n for n in names if n.strip("_").lower() == "background"), None)
    return Annotations(found, names, colours, values, background=background, remarks=remarks)
