"""Several masks of one object or class an image, each black and white."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from bpkd.datasets.annotations.common import Annotations, Drawing, Object, Sample, split_of
from bpkd.datasets.annotations.format import Format
from bpkd.datasets.annotations.masks import read_mask
from bpkd.datasets.annotations.pairing import is_mask_name, masks_and_images
from bpkd.datasets.annotations.polygons import Patch
from bpkd.datasets.annotations.tree import Tree
from bpkd.errors import UserError

FORMAT = Format(
    "several-masks",
    "several masks an image",
    __name__,
    recognised="masks/CLASS/NAME.png, NAME_CLASS.png, masks/NAME/CLASS.png or NAME/masks/N.png",
    cannot="crowds, an order",
    overlap="smaller",
    anybodys=True,
)

_OBJECT = "object"


@dataclass(frozen=True)
class BlackAndWhite:
    """A file whose pixels are 0 outside and one other value inside.

    Attributes:
        file: the mask.
        soft: its edges are shades between 0 and 255, of which half and more is inside.
    """

    file: Path
    soft: bool = False

    def patch(self, height: int, width: int) -> Patch:
        """Its pixels; ``height`` and ``width`` must be its own."""
        values = read_mask(self.file).values
        if values.shape != (height, width):
            raise UserError(
                f"{self.file} is {values.shape[1]}x{values.shape[0]} on an image of "
                f"{width}x{height} (width x height): both must have one size"
            )
        if self.soft:
            return Patch(values > 127, 0, 0)
        inside = values > 0
        if inside.any() and (values[inside] != values.max()).any():
            raise UserError(
                f"{self.file} holds several values, e.g. {values[inside].min()} and "
                f"{values.max()}: expected 0 and one other, black and white"
            )
        return Patch(inside, 0, 0)


def recognised(tree: Tree) -> bool:
    """Whether an image has several masks.

    ``masks/car/a.png``, ``a_car.png``, ``masks/a/car.png`` and ``a/masks/7.png`` belong to image a.
    """
    found = _layers(tree)
    several = sum(len(masks) > 1 for masks in found.values())
    return several * 2 > len(found) or any(len(masks) > 2 for masks in found.values())


def read(tree: Tree, classes: Sequence[str] | None = None) -> Annotations:
    """A sample each image that has masks: a class each name, or objects of one class."""
    samples = []
    for image, masks in _layers(tree).items():
        objects = [Object(label, BlackAndWhite(mask)) for mask, label in masks]
        drawing = _Files(str(masks[0][0].parent), tuple(objects))
        samples.append(Sample(image, drawing, tree.split(image, masks[0][0])))
    names = sorted({label for masks in _layers(tree).values() for _, label in masks})
    return Annotations(samples, names)


@dataclass(frozen=True)
class _Files:
    where: str
    objects: tuple[Object, ...]

    def __call__(self) -> Drawing:
        return Drawing(self.where, self.objects)


@lru_cache(maxsize=2)
def _layers(tree: Tree) -> dict[Path, list[tuple[Path, str]]]:
    """The masks of each image, with the name of what they show."""
    masks, images = masks_and_images(tree)
    stems = {image.stem: image for image in images}
    if len(stems) < len(images):  # two images of one name: nobody can say whose a mask is
        return {}
    found = defaultdict(list)
    for mask in masks:
        owner = _owner(mask, tree, stems)
        if owner is not None:
            found[stems[owner[0]]].append((mask, owner[1]))
    counts = Counter(label for layers in found.values() for label in {name for _, name in layers})
    # Numbers and names that never repeat are objects of one class.
    names = {label: label if label and counts[label] > 1 else _OBJECT for label in counts}
    return {image: [(mask, names[name]) for mask, name in rows] for image, rows in found.items()}


def _owner(mask: Path, tree: Tree, stems: dict[str, Path]) -> tuple[str, str] | None:
    """The stem of a mask's image, and what the mask is called besides."""
    above = [part for part in mask.relative_to(tree.root).parts[:-1] if not is_mask_name(part)]
    if mask.stem in stems:
        names = [part for part in above if split_of(part) is None and part != mask.stem]
        return mask.stem, names[-1] if names else ""
    for part in reversed(above):
        if part in stems:
            return part, _name(mask.stem)
    words = re.split(r"([_\-. ]+)", mask.stem)
    for end in range(len(words) - 2, 0, -2):
        stem = "".join(words[:end])
        if stem in stems:
            return stem, _name("".join(words[end + 1 :]))
    return None


def _name(rest: str) -> str:
    """What is left of a mask's name: without numbers at its end and words for masks."""
    words = [word for word in re.split(r"[_\-. ]+", rest) if not is_mask_name(word)]
    while words and words[-1].isdigit():
        words.pop()
    return "_".join(words)
