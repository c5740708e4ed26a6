"""A COCO instances file: read, checked, and held in little memory."""

from __future__ import annotations

import json
import math
import pickle
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import numpy as np

from bpkd.datasets.unpaired import Fault
from bpkd.errors import UserError
from bpkd.support.messages import shown

_KEYS = ("images", "annotations", "categories")


class Annotation(NamedTuple):
    """One object: its category's id, and what the file says of it."""

    id: int
    category: int
    segmentation: Any
    bbox: list[float] | None
    area: float | None
    crowd: bool


class ImageEntry(NamedTuple):
    """One image of the file with its annotations, in the file's order."""

    id: int
    file_name: str
    height: int
    width: int
    annotations: list[Annotation]


@dataclass
class CocoFile:
    """What a file holds.

    Attributes:
        images: in the file's order, without those that are broken.
        categories: id -> name, by ascending id.
        faults: what was left out, each with the image's name.
    """

    images: list[ImageEntry]
    categories: dict[int, str]
    faults: list[Fault] = field(default_factory=list)


class Packed(Sequence[Any]):
    """Objects in one block of bytes.

    Worker processes share it: a list of objects would be copied into each of them bit by bit, for
    whoever looks at an object of Python writes its reference count.

    >>> list(Packed([{"a": 1}, [2, 3]]))
    [{'a': 1}, [2, 3]]
    """

    def __init__(self, items: Iterable[Any]) -> None:
        parts = [pickle.dumps(item, protocol=5) for item in items]
        self._ends = np.cumsum([0, *map(len, parts)])
        self._bytes = np.frombuffer(b"".join(parts), dtype=np.uint8)

    def __len__(self) -> int:
        return len(self._ends) - 1

    def __getitem__(self, index: Any) -> Any:
        if not 0 <= index < len(self):
            raise IndexError(index)
        start, end = self._ends[index : index + 2]
        return pickle.loads(self._bytes[start:end].tobytes())


def read_coco(file: Path) -> CocoFile:
    """A file of COCO's instances format.

    Raises:
        UserError: there is no such file, it is no JSON or cut off, it is in another format, or
            its categories make no sense.
    """
    content = _content(file)
    categories = _categories(content["categories"], file)
    faults: list[Fault] = []
    images, known = _images(content["images"], faults)
    seen: set[Any] = set()
    for place, found in enumerate(content["annotations"]):
        entry = found if isinstance(found, dict) else {}
        image = entry.get("image_id")
        own = entry.get("id", place)
        fault = _reference_fault(entry, categories, known, seen) or _shape_fault(entry)
        fault = fault or _size_fault(entry["segmentation"], images.get(_hashable(image)))
        seen.add(_hashable(own))
        if fault:
            name = known.get(_hashable(image)) or file.stem
            faults.append((name, f"annotation {shown(own, 20)} {fault}"))
        elif _hashable(image) in images:  # not one that was left out, which is said already
            images[image].annotations.append(_annotation(entry, own))
    return CocoFile([*images.values()], categories, faults)


def polygon_fault(polygon: Any) -> str:
    """What is wrong with a polygon [x, y, x, y, ...]; empty where nothing is.

    >>> polygon_fault([0, 0, 4, 0, 4, 4]), polygon_fault([0, 0, 4, 0])
    ('', 'has a polygon of 2 points: expected 3 or more')
    """
    if not _are_numbers(polygon):
        return f"has a polygon {shown(polygon, 30)}: expected numbers [x, y, x, y, ...]"
    if len(polygon) % 2:
        return f"has a polygon of {len(polygon)} numbers: expected an x and a y for each point"
    points = len(polygon) // 2
    return f"has a polygon of {points} points: expected 3 or more" if points < 3 else ""


def _content(file: Path) -> dict[str, Any]:
    try:
        with file.open(encoding="utf-8") as stream:
            content = json.load(stream)
    except OSError as error:
        raise UserError(f"{file} cannot be read: {error.strerror}") from None
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError) as error:
        where = f"line {error.lineno}" if isinstance(error, json.JSONDecodeError) else "no text"
        raise UserError(
            f"{file} is no whole JSON ({where}): it may have been cut off; fetch it again"
        ) from None
    if isinstance(content, list):
        raise UserError(
            f"{file} is a list, as files of predictions are: expected annotations, an object with "
            f"{', '.join(_KEYS)}"
        )
    lacking = [k for k in _KEYS if not isinstance(content, dict) or k not in content]
    lacking = lacking or [key for key in _KEYS if not isinstance(content[key], list)]
    if lacking:
        raise UserError(
            f"{file} is not in COCO's instances format: it has no list {lacking[0]!r}; expected "
            f"an object with {', '.join(_KEYS)}"
        )
    result: dict[str, Any] = content
    return result


def _categories(entries: list[Any], file: Path) -> dict[int, str]:
    found: dict[int, str] = {}
    for entry in entries:
        known = isinstance(entry, dict) and isinstance(entry.get("name"), str)
        if not known or not _is_whole(entry.get("id")):
            raise UserError(f"{file}: a category is {shown(entry)}: expected a whole id and a name")
        if entry["id"] in found or entry["name"] in found.values():
            raise UserError(
                f"{file}: category {shown(entry)} is listed twice: expected one of each"
            )
        found[entry["id"]] = entry["name"]
    if not found:
        raise UserError(f"{file} lists no categories: expected at least one with id and name")
    return dict(sorted(found.items()))


def _images(
    entries: list[Any], faults: list[Fault]
) -> tuple[dict[Any, ImageEntry], dict[Any, str]]:
    """Images in good order by their ids, and the names of all, good or not, by their ids."""
    images: dict[Any, ImageEntry] = {}
    names: dict[Any, str] = {}
    files: set[str] = set()
    for place, found in enumerate(entries):
        entry = found if isinstance(found, dict) else {}
        file, own = entry.get("file_name"), entry.get("id")
        height, width = entry.get("height"), entry.get("width")
        name = PurePosixPath(file).stem if isinstance(file, str) else f"image {place}"
        if not isinstance(file, str) or not isinstance(own, int):
            faults.append((name, f"the entry {shown(found)} has no file_name or no whole id"))
        elif not isinstance(height, int) or not isinstance(width, int) or min(height, width) < 1:
            faults.append((name, f"image {own} ({file}) has no height and width in pixels"))
        elif own in images or file in files:
            faults.append((name, f"image {own} ({file}) is listed twice"))
        else:
            images[own] = ImageEntry(own, file, height, width, [])
        if isinstance(file, str):
            files.add(file)
        names.setdefault(_hashable(own), name)
    return images, names


def _reference_fault(
    entry: dict[str, Any], categories: dict[int, str], known: dict[Any, str], seen: set[Any]
) -> str:
    """An annotation has an id of its own, an image and a category."""
    image, category = entry.get("image_id"), entry.get("category_id")
    if "id" in entry and _hashable(entry["id"]) in seen:
        return "is listed twice: each needs an id of its own"
    if _hashable(image) not in known:
        return f"is of image {shown(image, 20)}, which is not listed"
    if _hashable(category) not in categories:
        return f"has the category_id {shown(category, 20)}, which is not among the categories"
    return ""


def _shape_fault(entry: dict[str, Any]) -> str:
    """Box and segmentation are such."""
    box, segmentation = entry.get("bbox"), entry.get("segmentation")
    if box is not None and (not _are_numbers(box) or len(box) != 4):
        return f"has the bbox {shown(box, 40)}: expected [x, y, width, height]"
    if isinstance(segmentation, list) and segmentation:
        return next(filter(None, map(polygon_fault, segmentation)), "")
    if not isinstance(segmentation, dict) or not {"size", "counts"} <= segmentation.keys():
        return f"has the segmentation {shown(segmentation, 30)}: expected polygons or RLE"
    return ""


def _size_fault(segmentation: Any, image: ImageEntry | None) -> str:
    """Run lengths are of the image's size."""
    if not isinstance(segmentation, dict) or image is None:
        return ""
    size = [image.height, image.width]
    if segmentation["size"] != size:
        its = shown(segmentation["size"], 20)
        return f"has run lengths of the size {its} and its image is {size} (height, width)"
    counts = segmentation["counts"]
    if isinstance(counts, list) and (
        not all(map(_is_whole, counts)) or sum(counts) != math.prod(size)
    ):
        return f"has run lengths that do not add up to its image's {math.prod(size)} pixels"
    return ""


def _annotation(entry: dict[str, Any], own: Any) -> Annotation:
    area: Any = entry.get("area")
    return Annotation(
        own, entry["category_id"], entry["segmentation"], entry.get("bbox"),
        float(area) if _are_numbers([area]) else None, bool(entry.get("iscrowd", 0)),
    )  # fmt: skip


def _are_numbers(values: Any) -> bool:
    """A list of numbers, none of them nan or absurd; quick, for COCO has 60 million."""
    if not isinstance(values, list) or not {*map(type, values)} <= {int, float}:
        return False
    most = max(map(abs, values), default=0)
    return bool(most < 1e6 and math.isfinite(sum(values)))  # the sum tells of a nan


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _hashable(value: Any) -> Any:
    return value if isinstance(value, int | str) else shown(value)
