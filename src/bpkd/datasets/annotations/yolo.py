"""YOLO segmentation: a text file an image, a line an object: class, then x and y in shares."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from bpkd.datasets.annotations.common import Annotations, Drawing, Object, Sample
from bpkd.datasets.annotations.format import Format
from bpkd.datasets.annotations.polygons import Patch, fill, outline
from bpkd.datasets.annotations.tree import Tree
from bpkd.datasets.deep import Array
from bpkd.errors import UserError
from bpkd.support.messages import one_line

FORMAT = Format(
    "yolo",
    "YOLO segmentation",
    __name__,
    recognised="a YAML with names (or classes.txt), and lines of shares in TXT files",
    cannot="holes, objects of several parts, crowds, the image's size, an order",
    overlap="smaller",
)

_SHORTEST = 7  # class and three points; a box has 5 values


@dataclass(frozen=True)
class Shares:
    """A polygon in shares of the image's width and height."""

    ring: Array

    def patch(self, height: int, width: int) -> Patch:
        """Its pixels."""
        return fill([self.ring * np.array([width, height])], height, width)


def recognised(tree: Tree) -> bool:
    """Whether classes are declared, and a text file of an image has a line of objects."""
    return _declared(tree) is not None and any(
        _is_labels(_label_file(tree, image)) for image in tree.images
    )


def read(tree: Tree, classes: Sequence[str] | None = None) -> Annotations:
    """Every image; one without a text file, or with an empty one, shows no object."""
    declared = _declared(tree)
    assert declared is not None
    file, content = declared
    names = _names(file, content)
    samples = [
        Sample(
            image,
            partial(drawing, _label_file(tree, image), tuple(names)),
            _split(file, content, image) or tree.split(image),
        )
        for image in tree.images
    ]
    without = sum(not _label_file(tree, sample.image).is_file() for sample in samples)
    remarks = [f"{without:,} images have no text file: they are taken to show no object"]
    return Annotations(samples, names, remarks=remarks if without else ())


def drawing(file: Path, names: tuple[str, ...]) -> Drawing:
    """The objects of a text file."""
    objects = []
    try:
        lines = file.read_text(encoding="utf-8-sig").splitlines() if file.is_file() else []
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{file} cannot be read ({one_line(error)}): export it anew") from None
    for number, line in enumerate(lines, 1):
        where, values = f"{file}, line {number}", line.split()
        if not values:
            continue
        if len(values) < _SHORTEST:
            raise UserError(
                f"{where} has {len(values)} values: expected a class and three points or more; "
                "boxes have no outline, so export segmentation labels"
            )
        try:
            kind, ring = int(values[0]), outline([float(v) for v in values[1:]], where)
        except ValueError as error:
            raise UserError(f"{where}: {one_line(error)}") from None
        if not 0 <= kind < len(names):
            raise UserError(f"{where}: class {kind}: expected 0 to {len(names) - 1}")
        objects.append(Object(names[kind], Shares(ring)))
    return Drawing(str(file), objects)


def _label_file(tree: Tree, image: Path) -> Path:
    """Beside the image or, where there is a folder labels beside its folder images, in that."""
    parts = list(image.relative_to(tree.root).parts)
    places = [place for place, part in enumerate(parts) if part == "images"]
    if places:
        parts[places[-1]] = "labels"
    return tree.root.joinpath(*parts).with_suffix(".txt")


def _is_labels(file: Path) -> bool:
    try:
        values = file.read_text(encoding="utf-8-sig").split(None, _SHORTEST)[:_SHORTEST]
        return len(values) >= 5 and int(values[0]) >= 0 and bool([float(v) for v in values])
    except (OSError, ValueError):
        return False


def _declared(tree: Tree) -> tuple[Path, Any] | None:
    """The file of the names with its content: a YAML with names, or classes.txt."""
    for file in tree.ending(".yaml", ".yml"):
        try:
            content = yaml.safe_load(file.read_text(encoding="utf-8-sig"))
        except (OSError, UnicodeDecodeError, yaml.YAMLError):
            continue
        if isinstance(content, dict) and content.get("names"):
            return file, content
    for file in tree.ending("classes.txt"):
        lines = file.read_text(encoding="utf-8-sig", errors="replace").splitlines()
        return file, {"names": [line.strip() for line in lines if line.strip()]}
    return None


def _names(file: Path, content: Any) -> list[str]:
    names = content["names"]
    if isinstance(names, dict):
        if set(names) != set(range(len(names))):
            raise UserError(f"{file}: names: expected each index from 0 to {len(names) - 1}")
        names = [names[index] for index in range(len(names))]
    if not isinstance(names, list):
        raise UserError(f"{file}: names: expected a list, or an index and a name a line")
    return [str(name) for name in names]


def _split(file: Path, content: Any, image: Path) -> str | None:
    """The split whose folder, as the YAML declares it, holds the image."""
    for split in ("train", "val", "test"):
        folders = content.get(split) or ()
        for folder in [folders] if isinstance(folders, str) else folders:
            # Exports write ../train/images and mean a folder beside the file.
            parts = [part for part in Path(str(folder)).parts if part not in ("..", ".")]
            if (file.parent.joinpath(*parts)) in image.parents:
                return split
    return None
