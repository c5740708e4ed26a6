"""Label Studio JSON: brush strokes, polygons, boxes and ellipses, in per cent of the image."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import numpy as np

from bpkd.datasets.annotations.common import (
    Annotations,
    Drawing,
    Known,
    Object,
    Sample,
    as_written_by,
    labels_in,
)
from bpkd.datasets.annotations.format import Format
from bpkd.datasets.annotations.polygons import (
    Patch,
    Polygon,
    Shape,
    clipped,
    ellipse,
    outline,
    turn,
)
from bpkd.datasets.annotations.tree import Tree, holds, read_json
from bpkd.datasets.deep import Array
from bpkd.errors import UserError

FORMAT = Format(
    "label-studio",
    "Label Studio JSON",
    __name__,
    recognised="a JSON of tasks with results",
    cannot="holes in polygons, crowds; key points are passed over",
)


@dataclass(frozen=True)
class Brush:
    """What a brush painted: the opacity of an RGBA picture, packed; half and more counts."""

    where: str
    packed: bytes
    width: int
    height: int

    def patch(self, height: int, width: int) -> Patch:
        """Its pixels in an image of that size."""
        values = unpacked(self.packed, self.where)
        if values.size != self.width * self.height * 4:
            raise UserError(
                f"{self.where}: a brush of {values.size // 4} pixels on an image of "
                f"{self.width}x{self.height}: export it anew"
            )
        mask = values.reshape(self.height, self.width, 4)[..., 3] > 127
        return clipped(Patch(mask, 0, 0), height, width)


def unpacked(packed: bytes, where: object) -> Array:
    """The numbers that thi.ng's rle-pack packed, as Label Studio's brush does.

    A stream of bits: 32 for how many numbers there are, 5 for the bits of a number less one, four
    times 4 for the bits of a run's length less one; then runs. A run begins with 1 bit that says
    whether it repeats one number, 2 that choose among the four, and its length less one.

    Raises:
        UserError: the stream ends too early.

    >>> head = f"{3:032b}" + "00111" + 4 * "0000"  # three numbers of 8 bits
    >>> bits = head + "1001" + "00000101" + "0000" + "00000111" + "000"  # two fives, one seven
    >>> unpacked(int(bits, 2).to_bytes(10, "big"), "a").tolist()
    [5, 5, 7]
    """
    bits = np.unpackbits(np.frombuffer(packed, np.uint8))
    text = bits.tobytes().translate(bytes([48, 49]) + bytes(254)).decode()
    place = 0

    def take(count: int) -> int:
        nonlocal place
        place += count
        if place > len(text):
            raise UserError(f"{where}: a brush ends in the middle: export it anew")
        return int(text[place - count : place], 2)

    total, word = take(32), take(5) + 1
    lengths = [take(4) + 1 for _ in range(4)]
    values, done = np.zeros(min(total, 2**31), np.uint32), 0
    weights = 1 << np.arange(word)[::-1]
    while done < total:
        repeats = take(1)
        count = min(take(lengths[take(2)]) + 1, total - done)
        if repeats:
            values[done : done + count] = take(word)
        else:
            begin = place
            place += count * word
            if place > len(text):
                raise UserError(f"{where}: a brush ends in the middle: export it anew")
            values[done : done + count] = bits[begin:place].reshape(-1, word) @ weights
        done += count
    return values


def recognised(tree: Tree) -> bool:
    """Whether a JSON file lists tasks with annotations and their results."""
    return bool(_files(tree))


def read(tree: Tree, classes: Sequence[str] | None = None) -> Annotations:
    """All tasks; of several annotations of a task, the ground truth or else the first."""
    samples = []
    for file in _files(tree):
        with as_written_by("Label Studio", file):
            for task in read_json(file):
                where = f"{file}, task {task.get('id', '?')}"
                image = photo(tree, task["data"], file)
                drawing = _drawing(_chosen(task["annotations"]), where)
                samples.append(Sample(image, Known(drawing), tree.split(image, named=file)))
    return Annotations(samples, labels_in(samples))


def _files(tree: Tree) -> list[Path]:
    words = ('"annotations"', '"result"', '"data"')
    return [file for file in tree.collections if holds(file, *words)]


def photo(tree: Tree, data: Any, file: Path) -> Path:
    """The photo of a task, which it names by an address that only the tool knows.

    Raises:
        UserError: there is no such photo.
    """
    addresses = [value for value in data.values() if isinstance(value, str)]
    known = [value for value in addresses if re.search(r"\.\w{3,4}($|\?)|local-files", value)]
    if not known:
        raise UserError(f"{file}: a task names no image: export it anew")
    address = urlsplit(known[0])
    name = parse_qs(address.query).get("d", [unquote(address.path)])[0].replace("\\", "/")
    try:
        return tree.image(name, file)
    except UserError:
        # An upload gets eight digits before its name.
        folder, _, last = name.rpartition("/")
        if not re.match(r"[0-9a-f]{8}-", last):
            raise
        return tree.image(f"{folder}/{last[9:]}", file)


def _chosen(annotations: Any) -> Any:
    valid = [each for each in annotations if not each.get("was_cancelled")]
    return next((each for each in valid if each.get("ground_truth")), valid[0] if valid else None)


def _drawing(annotation: Any, where: str) -> Drawing:
    """The regions in their order; a region's label may stand in a result of its own."""
    regions: dict[str, dict[str, Any]] = {}
    size = None
    for number, result in enumerate(annotation["result"] if annotation else ()):
        value = result.get("value", {})
        if "original_width" in result:
            size = (int(result["original_width"]), int(result["original_height"]))
        if result.get("image_rotation"):
            raise UserError(f"{where}: the image was turned in the tool; turn it back there")
        regions.setdefault(result.get("id", str(number)), {}).update(value)
    objects, without = [], 0
    for region in regions.values():
        labels = next((v for k, v in region.items() if k.endswith("labels") and v), None)
        shape = _shape(region, size, where) if size else None
        if shape is None or not labels:
            without += 1
        else:
            objects.append(Object(str(labels[0]), shape))
    return Drawing(where, objects, size, without)


def _shape(region: Any, size: tuple[int, int], where: str) -> Shape | None:
    share = np.array(size) / 100
    if "rle" in region:
        return Brush(where, bytes(region["rle"]), *size)
    if "points" in region:
        return Polygon((outline(np.array(region["points"]) * share, where),))
    if "radiusX" in region:
        x, y = np.array([region["x"], region["y"]]) * share
        radii = np.array([region["radiusX"], region["radiusY"]]) * share
        return ellipse(x, y, radii[0], radii[1], region.get("rotation", 0))
    if "height" in region:
        corner = np.array([region["x"], region["y"]]) * share
        side = np.array([region["width"], region["height"]]) * share
        corners = corner + side * np.array([(0, 0), (1, 0), (1, 1), (0, 1)])
        return Polygon((turn(corners, corner, region.get("rotation", 0)),))
    return None
