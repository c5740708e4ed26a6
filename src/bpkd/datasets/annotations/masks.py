"""Masks as files: their values, what kind of masks a folder has, and what the values are called."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache, partial
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np
from PIL import Image

from bpkd.datasets import camvid
from bpkd.datasets.annotations.common import NOTHING, Annotations, Sample, Values
from bpkd.datasets.annotations.pairing import paired
from bpkd.datasets.annotations.tree import Tree
from bpkd.datasets.classes import class_list
from bpkd.datasets.colours import Colour
from bpkd.datasets.deep import Array
from bpkd.datasets.images import open_image
from bpkd.errors import UserError
from bpkd.support.messages import one_line

Kind: TypeAlias = Literal["index", "binary", "colours", "transparent", "arrays"]
_LOOKED_AT = 50
_DECLARED = (
    "classes.csv", "class_dict.csv", "classes.yaml", "classes.yml", "classes.json", "id2label.json",
)  # fmt: skip
_NAMES = ("classes.txt", "class_names.txt", "labels.txt", "codes.txt")
# Grey of fewer bits than 8 comes from Pillow spread over 0 to 255: by this factor.
_SPREAD = {"L;2": 85, "L;4": 17}
_OPAQUE = 128


def code(colour: Sequence[int]) -> int:
    """The number that stands for a colour.

    >>> code((1, 0, 2))
    65538
    """
    return colour[0] << 16 | colour[1] << 8 | colour[2]


def colour_of(value: int) -> Colour:
    """The colour that a number stands for.

    >>> colour_of(65538)
    (1, 0, 2)
    """
    return value >> 16, value >> 8 & 255, value & 255


def read_mask(file: Path, by_colour: bool = False) -> Values:
    """The values of a mask; those of RGB images, or all by ``by_colour``, are colours' numbers.

    Raises:
        UserError: it is damaged, a JPEG, or no mask.
    """
    if file.suffix.lower() == ".npy":
        return Values(str(file), _array(file))
    opened = open_image(file)
    if opened.format in ("JPEG", "MPO"):
        raise UserError(f"{file} is a JPEG, which blurs masks; export them as PNG")
    clear = np.asarray(opened.convert("RGBA").getchannel("A")) < _OPAQUE if _alpha(opened) else None
    if opened.mode in ("RGB", "RGBA") or by_colour:
        rgb = np.asarray(opened.convert("RGBA" if _alpha(opened) else "RGB")).astype(np.int32)
        values = rgb[..., 0] << 16 | rgb[..., 1] << 8 | rgb[..., 2]
    elif opened.mode in ("1", "L", "P", "LA", "PA") or opened.mode.startswith("I"):
        values = np.asarray(opened.getchannel(0) if opened.mode in ("LA", "PA") else opened)
        values = values.astype(np.int32) // _SPREAD.get(opened.info["rawmode"], 1)
    else:
        raise UserError(f"{file} is an image of mode {opened.mode}: expected grey, palette or RGB")
    if clear is not None:
        values = np.where(clear, NOTHING, values)
    return Values(str(file), values)


def _alpha(image: Image.Image) -> bool:
    return image.mode in ("RGBA", "LA", "PA") or (
        image.mode in ("P", "L", "RGB") and "transparency" in image.info
    )


def _array(file: Path) -> Array:
    """An array's values (H, W); of layers, first or last, the number of the last one set."""
    try:
        array = np.load(file, allow_pickle=False)
    except (OSError, ValueError) as error:
        raise UserError(f"{file} cannot be read ({one_line(error)}): save it anew") from None
    if array.dtype.kind == "f" and (array == np.round(array)).all():
        array = array.astype(np.int64)
    array = array.squeeze() if array.ndim > 2 and 1 in array.shape else array
    if array.dtype.kind in "biu" and array.ndim == 3 and array.max(initial=0) <= 1:
        layers = array if array.shape[0] < array.shape[-1] else np.moveaxis(array, -1, 0)
        last = len(layers) - 1 - layers[::-1].astype(bool).argmax(0)
        return np.where(layers.any(0), last, NOTHING).astype(np.int32)
    if array.dtype.kind not in "biu" or array.ndim != 2:
        raise UserError(
            f"{file} holds {array.dtype} of the shape {list(array.shape)}: expected whole numbers "
            "(H, W), or layers of 0 and 1"
        )
    small: Array = array.astype(np.int32)
    return small


@lru_cache(maxsize=2)
def kind(tree: Tree) -> Kind | None:
    """What kind of masks a folder has, from some of them; None where it has no pairs.

    Raises:
        UserError: kinds are mixed.
    """
    masks = [mask for _, mask in paired(tree).pairs]
    found: dict[Kind, Path] = {}
    for mask in masks[:: max(len(masks) // _LOOKED_AT, 1)]:
        for each in _kinds(mask):
            found.setdefault(each, mask)
    # Blank masks, and those of one class beside void, look like masks of 0 and 255.
    if "index" in found:
        found.pop("binary", None)
    if "transparent" in found:
        found.pop("colours", None)
        found.pop("index", None)
        found.pop("binary", None)
    if len(found) > 1:
        (one, a), (other, b) = list(found.items())[:2]
        raise UserError(f"masks are mixed: {a} is of the kind {one}, {b} of {other}: keep one kind")
    return next(iter(found), None)


def _kinds(mask: Path) -> list[Kind]:
    if mask.suffix.lower() == ".npy":
        return ["arrays"]
    values = read_mask(mask).values
    found = set(occurring(values))
    if NOTHING in found:
        return ["transparent"]
    if is_coloured(mask):
        return ["colours"]
    return ["binary"] if found <= {0, 255} else ["index"]


def is_coloured(mask: Path) -> bool:
    """Whether a mask is in RGB or RGBA."""
    with Image.open(mask) as image:
        return image.mode in ("RGB", "RGBA")


def declared(tree: Tree) -> tuple[list[str], list[Colour] | None] | None:
    """Names, and perhaps colours, that a file in the root declares for the values 0, 1, ..."""
    for name in _DECLARED:
        if (tree.root / name).is_file():
            return class_list(tree.root, name)
    for name in _NAMES:
        file = tree.root / name
        if file.is_file():
            lines = file.read_text(encoding="utf-8-sig", errors="replace").splitlines()
            names = [line.strip() for line in lines if line.strip()]
            # labelme2voc begins with the name of what is ignored, which has no value of its own.
            return [name for name in names if name != "__ignore__"], None
    return None


def _is_camvid(tree: Tree, values: Sequence[int]) -> bool:
    """Whether folders and values are those of the common copy of CamVid, which names no class."""
    folders = all((tree.root / f"{split}annot").is_dir() for split in ("train", "val", "test"))
    return folders and set(values) <= set(range(len(camvid.CLASSES) + 1))


def samples(tree: Tree, by_colour: bool = False) -> tuple[list[Sample], list[str]]:
    """The pairs, and what a user should know of files without a partner."""
    found = paired(tree)
    made = [
        Sample(image, partial(read_mask, mask, by_colour), tree.split(mask, image))
        for image, mask in found.pairs
    ]
    remarks = [
        f"{len(files):,} {what}, e.g. {files[0]}: left out"
        for files, what in (
            (found.images, "images have no mask"),
            (found.masks, "masks have no image"),
        )
        if files
    ]
    return made, remarks


def values_in(samples: Iterable[Sample]) -> list[int]:
    """The values that occur, sorted; without NOTHING."""
    found: set[int] = set()
    for sample in samples:
        content = sample.read()
        assert isinstance(content, Values)
        found.update(occurring(content.values))
    return sorted(found - {NOTHING})


def occurring(values: Array) -> list[int]:
    """The values that occur, sorted: by counting where they are small, which is much faster.

    >>> occurring(np.array([[3, -1], [3, 0]]))
    [-1, 0, 3]
    """
    if values.size and values.min() >= NOTHING and values.max() < 2**16:
        found: list[int] = (np.flatnonzero(np.bincount(values.ravel() + 1)) - 1).tolist()
        return found
    return [int(value) for value in np.unique(values)]


def numbered(tree: Tree, classes: Sequence[str] | None) -> Annotations:
    """Masks whose values are numbers: named by a file in the root, or by the numbers.

    255 is void, unless it has a name.
    """
    found, remarks = samples(tree)
    if classes is not None:
        return Annotations(found, [], remarks=remarks)
    names, there = declared(tree), values_in(found)
    if names is None and _is_camvid(tree, there):
        names = list(camvid.CLASSES), list(camvid.CLASSES.values())
        remarks.append("taken for CamVid by its folders: the classes are called as usual there")
    if names is not None:
        meaning: dict[int, str | None] = dict(enumerate(names[0]))
        colours = dict(zip(names[0], names[1] or (), strict=False))
        unnamed = [value for value in there if value not in meaning]
        meaning |= dict.fromkeys(unnamed)
        if beyond := [value for value in unnamed if value != 255]:
            remarks.append(
                f"values that none of the {len(names[0])} named classes has are ignored: "
                f"{', '.join(map(str, beyond[:8]))}"
            )
        return Annotations(found, names[0], colours, meaning, remarks=remarks)
    meaning = {value: None if value == 255 else f"class_{value}" for value in there}
    remarks.append("no file names the classes: they are called by their values; rename them")
    if 255 not in there and len(there) > 2:
        remarks.append(
            f"in many data sets the highest value is void: if {there[-1]} is, take class_"
            f"{there[-1]} out of `classes` and write ignore: [{there[-1]}]"
        )
    return Annotations(found, [n for n in meaning.values() if n], {}, meaning, remarks=remarks)
