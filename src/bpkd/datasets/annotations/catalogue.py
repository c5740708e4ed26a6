"""The formats, as one table for the command line, the documentation and messages."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import Any

from bpkd.datasets.annotations.common import Annotations
from bpkd.datasets.annotations.drawing import Overlap
from bpkd.datasets.annotations.tree import Tree
from bpkd.errors import UserError
from bpkd.support.messages import suggestion

_HERE = __name__.rpartition(".")[0]


@dataclass(frozen=True)
class Format:
    """An annotation format.

    Attributes:
        name: what recipes and the command line call it.
        title: the tool, and what it calls the format.
        recognised: by what a folder is taken for it.
        module: below ``bpkd.datasets.annotations``.
        cannot: what it cannot hold, or what is passed over.
        instances: whether it tells objects of one class apart.
        overlap: what lies over what; None where nothing can overlap.
        extra: what of pyproject.toml's extras it needs, and for what.
    """

    name: str
    title: str
    recognised: str
    module: str
    cannot: str
    instances: bool = True
    overlap: Overlap | None = "later"
    extra: str = ""

    @property
    def use(self) -> str:
        """The dotted path of its module."""
        return f"{_HERE}.{self.module}"

    @property
    def uncovered(self) -> bool:
        """Whether pixels may be covered by nothing."""
        return self.overlap is not None or self.name == "transparent-masks"

    def holds(self, tree: Tree) -> bool:
        """Whether a folder is in this format."""
        return bool(self._module().recognised(tree))

    def read(self, tree: Tree, classes: list[str] | None = None) -> Annotations:
        """What a folder holds; with ``classes`` given, nothing is opened only to find their names.

        Raises:
            UserError: something in it is not as the tool writes it.
        """
        found: Annotations = self._module().read(tree, classes)
        if not found.samples:
            raise UserError(f"{tree.root} holds no image with annotations of {self.title}")
        return found

    def _module(self) -> Any:
        return import_module(self.use)


FORMATS = (
    Format(
        "coco", "COCO JSON", "a JSON with images, annotations and categories", "coco",
        "holes in polygons, an order of objects; boxes without a segmentation are passed over",
        overlap="smaller", extra="instance (compressed run lengths)",
    ),
    Format(
        "labelme", "LabelMe JSON", "JSONs with shapes and imagePath", "labelme",
        "holes in polygons, crowds; lines and points are passed over",
    ),
    Format(
        "cvat", "CVAT for images 1.1", "an XML of version 1.1 with images", "cvat",
        "holes in polygons, crowds; lines, points, cuboids and skeletons are passed over",
    ),
    Format(
        "cvat-masks", "CVAT segmentation mask 1.1", "labelmap.txt beside SegmentationClass",
        "cvat_masks", "objects under others, crowds", overlap=None,
    ),
    Format(
        "label-studio", "Label Studio JSON", "a JSON of tasks with results", "label_studio",
        "holes in polygons, crowds; key points are passed over",
    ),
    Format(
        "label-studio-png", "Label Studio PNG", "task-N-annotation-N-by-WHO-tag-LABEL-N.png",
        "label_studio_png", "photos and their names (a JSON export is needed for these), crowds, "
        "an order", overlap="smaller",
    ),
    Format(
        "roboflow", "Roboflow semantic masks", "_classes.csv beside NAME_mask.png", "roboflow",
        "objects", instances=False, overlap=None,
    ),
    Format(
        "supervisely", "Supervisely JSON", "meta.json, and JSONs in folders ann", "supervisely",
        "crowds; lines and points are passed over",
    ),
    Format(
        "yolo", "YOLO segmentation", "a YAML with names (or classes.txt), and lines of shares in "
        "TXT files", "yolo", "holes, objects of several parts, crowds, the image's size, an order",
        overlap="smaller",
    ),
    Format(
        "via", "VGG Image Annotator 2", "a JSON with regions and filenames", "via",
        "holes, objects of several parts, crowds, the image's size; lines and points are passed "
        "over; VIA 3",
    ),
    Format(
        "voc", "PASCAL VOC", "SegmentationClass without labelmap.txt", "voc",
        "names of classes, unless a file in the root has them; crowds", overlap=None,
    ),
    Format(
        "several-masks", "several masks an image", "masks/CLASS/NAME.png, NAME_CLASS.png, "
        "masks/NAME/CLASS.png or NAME/masks/N.png", "several_masks", "crowds, an order",
        overlap="smaller",
    ),
    Format(
        "index-masks", "masks of class numbers", "pairs by name, values 0, 1, 2, ...",
        "index_masks", "names, unless a file in the root has them; objects", False, None,
    ),
    Format(
        "binary-masks", "masks of 0 and 255", "pairs by name, values 0 and 255 alone",
        "binary_masks", "more than two classes; objects", False, None,
    ),
    Format(
        "colour-masks", "masks in RGB", "pairs by name, masks in RGB", "colour_masks",
        "names, unless a file in the root has them; objects", False, None,
    ),
    Format(
        "transparent-masks", "masks with transparency", "pairs by name, masks in RGBA or with a "
        "palette, partly transparent", "transparent_masks", "names, as above; objects", False, None,
    ),
    Format(
        "npy-masks", "NumPy masks", "pairs by name, .npy", "npy_masks", "names, as above; objects",
        False, None,
    ),
)  # fmt: skip

#: The formats of masks in anybody's layout: asked only where no tool's own format is found.
_ANYBODYS = ("several-masks", *(each.name for each in FORMATS[-5:]))


def named(name: str) -> Format:
    """The format of a name.

    Raises:
        UserError: there is none.

    >>> named("coco").title
    'COCO JSON'
    """
    found = {each.name: each for each in FORMATS}
    if name not in found:
        raise UserError(f"format {name!r} is unknown; {suggestion(name, found)}")
    return found[name]


def recognised(tree: Tree) -> Format:
    """The one format that a folder is in.

    Raises:
        UserError: it is in none, or in several.
    """
    own = [each for each in FORMATS if each.name not in _ANYBODYS and each.holds(tree)]
    names = [each.name for each in own]
    if names == ["label-studio", "label-studio-png"]:
        own = own[:1]  # the JSON holds what the PNGs show, and says on which photos
    if len(own) > 1:
        listed = ", ".join(f"{each.title} ({each.name})" for each in own)
        raise UserError(
            f"{tree.root} holds annotations in several formats, {listed}: name the one that "
            "counts by `format` (--format on the command line), or take the others away"
        )
    if own:
        return own[0]
    if anybodys := next((named(name) for name in _ANYBODYS if named(name).holds(tree)), None):
        return anybodys
    if not tree.images:
        raise UserError(f"{tree.root} holds no images: give the folder that holds them")
    raise UserError(
        f"{tree.root} holds {len(tree.images):,} images and no known annotations: expected "
        "an export of a tool, or masks in a folder of their own (images/a.jpg, masks/a.png); "
        "bpkd data formats lists them"
    )
