"""What PASCAL VOC's layout holds: masks of classes, masks of objects, lists of splits."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from bpkd.datasets.annotations.common import Sample, Values, split_of
from bpkd.datasets.annotations.masks import read_mask
from bpkd.datasets.annotations.tree import Tree
from bpkd.datasets.lists import read_lines
from bpkd.errors import UserError


def class_masks(tree: Tree) -> list[Path]:
    """The PNGs in folders ``SegmentationClass``."""
    return [file for file in tree.ending(".png") if "SegmentationClass" in file.parts[-3:]]


def samples(tree: Tree, by_colour: bool, tool: str) -> list[Sample]:
    """A sample each mask of classes, with that of objects where there is one.

    Raises:
        UserError: no mask has its photo.
    """
    splits = _splits(tree)
    found = []
    for mask in class_masks(tree):
        image = _photo(tree, mask)
        if image is not None:
            split = splits.get(mask.stem) if splits else tree.split(mask)
            found.append(Sample(image, partial(_read, mask, by_colour), split))
    if not found:
        raise UserError(
            f"{tree.root} holds masks of {tool} and no photos: export with images, or put them "
            "into JPEGImages beside SegmentationClass"
        )
    return found


def _read(mask: Path, by_colour: bool) -> Values:
    classes = read_mask(mask, by_colour)
    folders = list(mask.parts)
    folders[len(folders) - 1 - folders[::-1].index("SegmentationClass")] = "SegmentationObject"
    objects = Path(*folders)
    if not objects.is_file():
        return classes
    own = read_mask(objects, by_colour).values
    if own.shape != classes.values.shape:
        raise UserError(f"{objects} and {mask} differ in size: export them anew")
    return Values(classes.where, classes.values, own)


def _photo(tree: Tree, mask: Path) -> Path | None:
    """The image of a mask's name in a folder beside, or anywhere but among masks."""
    names = [f"{mask.stem}{end}" for end in (".jpg", ".jpeg", ".png", ".JPG", ".bmp", ".webp")]
    below = mask.parts[len(mask.parts) - mask.parts[::-1].index("SegmentationClass") : -1]
    home = mask.parents[len(below) + 1]
    for name in names:
        file = home.joinpath("JPEGImages", *below, name)
        if file.is_file():
            return file
    others = [
        image
        for image in tree.stem(mask.stem)
        if not any(part.startswith("Segmentation") for part in image.parts)
    ]
    return others[0] if len(others) == 1 else None


def _splits(tree: Tree) -> dict[str, str]:
    """Stem of an image -> split, from ImageSets/Segmentation; the first list that names it."""
    found: dict[str, str] = {}
    lists = [file for file in tree.ending(".txt") if file.parent.name == "Segmentation"]
    for file in sorted(lists, key=lambda file: file.stem == "trainval"):
        split = split_of(file.stem)
        if split is not None and file.stem != "trainval":
            for line in read_lines(file):
                found.setdefault(Path(line.split()[0]).stem, split)
    return found
