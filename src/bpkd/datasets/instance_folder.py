"""Anyone's own instances: a folder of images beside a folder of maps of numbers."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from bpkd.datasets.classes import as_colour, class_list
from bpkd.datasets.colours import spaced_palette
from bpkd.datasets.deep import Array
from bpkd.datasets.folder import unique_names
from bpkd.datasets.images import open_image, read_image
from bpkd.datasets.instances import Instances
from bpkd.datasets.pairs import Layout
from bpkd.datasets.unpaired import Pair
from bpkd.errors import UserError


class InstanceFolder(Dataset[tuple[Tensor, Instances]]):
    """Pairs of an image and a map that gives each pixel its instance's number, 0 for none.

    ``images/train/a.jpg`` belongs to ``instances/train/a.png``, a PNG of 8, 16 or 32 bits of grey.
    Numbers need not follow one another, and one number is one instance, in one piece or several.

    With one class, a number is just a number. With several, ``divisor`` says how a number tells
    its class: 1000 reads 2007 as instance 7 of category 2. Categories count from 1 on, so 2 is the
    second class, unless ``label_map`` says otherwise. A number below the divisor that is itself a
    category marks a crowd of that class; all else below it is no instance. That is how Cityscapes'
    ``*_instanceIds.png`` are to be read.

    Args:
        root: folder that holds everything.
        split: "train", "val"...; "train+val" joins two.
        images: folder of the images, relative to ``root``.
        instances: folder of the maps, relative to ``root``.
        list: text file of a split, as in :class:`~bpkd.datasets.folder.Folder`.
        shares: share of the images that each split gets, where they all lie in one folder: which
            go where depends on their names alone. It stands in for ``list`` and ``{split}``.
        classes: as in :class:`~bpkd.datasets.folder.Folder`; without it, and without a
            ``classes.csv``, one class: "object".
        palette: an (r, g, b) for each class.
        divisor: see above.
        label_map: category -> class; categories that it does not list are no instances.
        ignore: further numbers that stand for no instance, 255 or 65535 say.
        image_suffix: end of the images' stems that the maps' stems lack.
        instance_suffix: end of the maps' stems that the images' stems lack.

    Raises:
        UserError: at construction, a folder, a map or the classes are missing or make no sense;
            when an item is read, its files are damaged, of different sizes, or hold an unknown
            category.

    >>> import tempfile
    >>> from PIL import Image
    >>> root = Path(tempfile.mkdtemp())
    >>> for folder in ("images", "instances"):
    ...     (root / folder / "train").mkdir(parents=True)
    >>> Image.new("RGB", (3, 1)).save(root / "images/train/a.png")
    >>> numbers = np.array([[0, 9, 300]], dtype=np.uint16)
    >>> Image.fromarray(numbers).save(root / "instances/train/a.png")
    >>> image, instances = InstanceFolder(root, "train")[0]
    >>> instances.masks.int().tolist(), instances.labels.tolist()
    ([[[0, 1, 0]], [[0, 0, 1]]], [0, 0])
    """

    task: ClassVar[str] = "instance"
    splits: ClassVar[tuple[str, ...]] = ()

    def __init__(
        self,
        root: str | Path,
        split: str,
        *,
        images: str = "images/{split}",
        instances: str = "instances/{split}",
        list: str | None = None,
        shares: Mapping[str, float] | None = None,
        classes: Sequence[Any] | Mapping[Any, Any] | str | Path | None = None,
        palette: Sequence[Sequence[int]] | None = None,
        divisor: int | None = None,
        label_map: Mapping[int, int] | None = None,
        ignore: Sequence[int] = (),
        image_suffix: str = "",
        instance_suffix: str = "",
    ) -> None:
        self.root, self.split = Path(root).expanduser(), split
        named = any((self.root / f"classes.{end}").is_file() for end in ("csv", "yaml"))
        self.classes, colours = class_list(
            self.root, ["object"] if classes is None and not named else classes
        )
        if palette is not None:
            colours = [as_colour(colour, "palette") for colour in palette]
        self.palette = colours or spaced_palette(len(self.classes))
        if len(self.palette) != len(self.classes):
            raise UserError(
                f"palette has {len(self.palette)} colours for {len(self.classes)} classes: "
                "give one [r, g, b] for each"
            )
        self._numbers = Numbers(len(self.classes), divisor, label_map, ignore)
        layout = Layout(self.root, images, (instances,), list, image_suffix, instance_suffix)
        self.pairs = layout.pairs(split)
        if shares is not None:
            self.pairs = dealt(self.pairs, shares, split)
        self._names = unique_names([image for image, _ in self.pairs]) if self.pairs else []

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int) -> tuple[Tensor, Instances]:
        image_file, map_file = self.pairs[index]
        image = read_image(image_file)
        numbers = read_numbers(map_file)
        if image.shape[1:] != numbers.shape:
            sizes = [f"{width}x{height}" for height, width in (image.shape[1:], numbers.shape)]
            raise UserError(
                f"{image_file} is {sizes[0]} and its map {map_file} is {sizes[1]} "
                "(width x height): both must have one size"
            )
        return image, self._numbers.instances(numbers, map_file)

    def name(self, index: int) -> str:
        """Stem of an image's file, for messages and the names of outputs; unique in the set."""
        return self._names[index]


class Numbers:
    """What the numbers of a map mean; see :class:`InstanceFolder` for the arguments."""

    def __init__(
        self,
        num_classes: int,
        divisor: int | None,
        label_map: Mapping[int, int] | None,
        ignore: Sequence[int],
    ) -> None:
        if divisor is None and num_classes > 1:
            raise UserError(
                f"there are {num_classes} classes, and nothing says which an instance is of: set "
                "data.divisor, 1000 if the map has 2007 for instance 7 of category 2"
            )
        if divisor is None and label_map is not None:
            raise UserError("data.label_map is about categories, which data.divisor has to tell")
        if divisor is not None and divisor < 2:
            raise UserError(f"data.divisor is {divisor}: expected a whole number from 2, as 1000")
        self._divisor, self._ignored = divisor, [0, *ignore]
        categories = {c + 1: c for c in range(num_classes)} if label_map is None else label_map
        self._classes = {int(category): int(label) for category, label in categories.items()}
        self._strict = label_map is None
        if wrong := [v for v in self._classes.values() if not 0 <= v < num_classes]:
            raise UserError(
                f"data.label_map names the class {wrong[0]}: expected 0 to {num_classes - 1}"
            )

    def instances(self, numbers: Array, where: Path) -> Instances:
        """The instances of a map (H, W), by ascending number.

        Raises:
            UserError: a number's category is unknown, and there is no ``label_map`` to say so.
        """
        found = [int(n) for n in np.unique(numbers) if n not in self._ignored]
        chosen: list[tuple[int, int, bool]] = []
        for number in found:
            label, crowd = self._meaning(number, where)
            if label is not None:
                chosen.append((number, label, crowd))
        values = torch.tensor([number for number, _, _ in chosen], dtype=torch.int64)
        masks = torch.from_numpy(numbers.astype(np.int64))[None] == values[:, None, None]
        labels = torch.tensor([label for _, label, _ in chosen], dtype=torch.int64)
        crowds = torch.tensor([crowd for _, _, crowd in chosen], dtype=torch.bool)
        return Instances.of(masks, labels)._replace(crowd=crowds)

    def _meaning(self, number: int, where: Path) -> tuple[int | None, bool]:
        """The class, None where it is no instance; and whether it is a crowd."""
        if self._divisor is None:
            return 0, False
        crowd = number < self._divisor
        category = number if crowd else number // self._divisor
        label = self._classes.get(category)
        if label is None and self._strict and not crowd:
            raise UserError(
                f"{where} holds the number {number}, of category {category}: expected 1 to "
                f"{len(self._classes)}; correct data.divisor or data.classes, or say in "
                "data.label_map which categories count"
            )
        return label, crowd


def read_numbers(file: Path) -> Array:
    """A map of numbers (H, W) from a PNG or TIFF of grey.

    Raises:
        UserError: it is damaged, a JPEG, or in colours.
    """
    opened = open_image(file)
    if opened.format in ("JPEG", "MPO"):
        raise UserError(f"{file} is a JPEG, which blurs numbers; save the map as a 16-bit PNG")
    if opened.mode not in ("1", "L", "P") and not opened.mode.startswith("I"):
        raise UserError(
            f"{file} is an image of mode {opened.mode}: expected one number a pixel, in a PNG of "
            "16 bits of grey"
        )
    return np.asarray(opened)


def dealt(pairs: Sequence[Pair], shares: Mapping[str, float], split: str) -> list[Pair]:
    """The pairs that a split, or the sum of several, gets.

    They are put in an order that depends on their names alone and cut by the shares, so that the
    splits have nothing in common, whatever machine or release looks.

    Raises:
        UserError: the shares are none, or have no such split.

    >>> pairs = [(Path(f"{i}.png"), Path(f"m/{i}.png")) for i in range(10)]
    >>> shares = {"train": 0.7, "val": 0.2, "test": 0.1}
    >>> sizes = [len(dealt(pairs, shares, split)) for split in ("train", "val", "test", "val+test")]
    >>> sizes
    [7, 2, 1, 3]
    """
    wanted = split.split("+")
    if any(share < 0 for share in shares.values()) or sum(shares.values()) > 1 + 1e-9:
        raise UserError(
            f"data.shares {dict(shares)}: expected shares from 0 that add up to 1 or less"
        )
    if unknown := [part for part in wanted if part not in shares]:
        raise UserError(f"data.shares has no split {unknown[0]!r}: expected {', '.join(shares)}")
    order = sorted(pairs, key=lambda pair: hashlib.sha256(pair[0].stem.encode()).digest())
    found, start, passed = [], 0, 0.0
    for name, share in shares.items():
        passed += share
        end = round(passed * len(pairs))
        found += order[start:end] if name in wanted else []
        start = end
    return sorted(found)
