"""Anyone's own data: a folder of images beside a folder of label maps."""

from __future__ import annotations

import colorsys
import csv
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
import yaml
from PIL import Image, ImageOps
from torch import Tensor
from torch.utils.data import Dataset

from bpkd.errors import UserError

Colour: TypeAlias = tuple[int, int, int]
Array: TypeAlias = npt.NDArray[Any]

# Marks, in the table from file values to classes, a value that stands for nothing. No
# ignore_index can be mistaken for it.
_UNKNOWN = np.iinfo(np.int32).min
_FILE_VALUES = 2**16  # a label map holds 8 or 16 bits a pixel


class Folder(Dataset[tuple[Tensor, Tensor]]):
    """Pairs of an image and a label map, matched by their names.

    ``images/train/a/b.jpg`` belongs to ``labels/train/a/b.png``. Images: any format that Pillow
    reads, brought to 8-bit RGB (alpha is dropped, EXIF rotation applied, 16-bit grey scaled).
    Label maps: class indices in 8 or 16 bits, palette images (the index is the class), or RGB
    images in the exact colours of the palette.

    Args:
        root: folder that holds everything.
        split: "train", "val"...; "train+val" joins two splits.
        images: folder of the images, relative to ``root``.
        labels: folder of the label maps, relative to ``root``.
        classes: class names; or a list of ``{name, color: [r, g, b]}``; or a CSV file (header
            ``name,r,g,b``) or YAML file (such a list), absolute or relative to ``root``. Without
            it, ``classes.csv`` or ``classes.yaml`` in ``root``. The order gives the indices.
        palette: an (r, g, b) for each class; without any, colours are made up.
        ignore_index: label of the pixels that belong to no class, here and in the files.
        ignore: further values in the files to ignore; (r, g, b) entries for RGB label maps.
        label_map: value in the files -> class; values that it does not list stay as they are.
        image_suffix: end of the images' stems that the labels' stems lack.
        label_suffix: end of the labels' stems that the images' stems lack; other files are passed
            over. Cityscapes has ``_leftImg8bit`` and ``_gtFine_labelTrainIds``.

    Raises:
        UserError: at construction, a folder, a label map or the classes are missing or make no
            sense; when an item is read, its files are damaged, of different sizes, or hold a
            value or colour that is no class.

    >>> import tempfile
    >>> root = Path(tempfile.mkdtemp())
    >>> for folder, mode in (("images", "RGB"), ("labels", "L")):
    ...     (root / folder / "train").mkdir(parents=True)
    ...     Image.new(mode, (4, 2)).save(root / folder / "train" / "street.png")
    >>> data = Folder(root, split="train", classes=["road", "car"])
    >>> image, labels = data[0]
    >>> data.name(0), image.shape, labels.tolist()
    ('street', torch.Size([3, 2, 4]), [[0, 0, 0, 0], [0, 0, 0, 0]])
    """

    def __init__(
        self,
        root: str | Path,
        split: str,
        *,
        images: str = "images/{split}",
        labels: str = "labels/{split}",
        classes: Sequence[Any] | str | Path | None = None,
        palette: Sequence[Sequence[int]] | None = None,
        ignore_index: int = 255,
        ignore: Sequence[int | Sequence[int]] = (),
        label_map: Mapping[int, int] | None = None,
        image_suffix: str = "",
        label_suffix: str = "",
    ) -> None:
        self.root = Path(root).expanduser()
        self.split = split
        self.ignore_index = ignore_index
        self.classes, colours = _classes(self.root, classes)
        colours = colours if palette is None else [_colour(c, "palette") for c in palette]
        if colours is not None and len(colours) != len(self.classes):
            raise UserError(
                f"palette has {len(colours)} colours for {len(self.classes)} classes: "
                "give one [r, g, b] for each class"
            )
        self.palette = colours or spaced_palette(len(self.classes))
        ignored_colours = [
            _colour(c, "an entry of `ignore`") for c in ignore if not isinstance(c, int)
        ]
        self._colours = None if colours is None else (colours, ignored_colours)
        ignored = [value for value in ignore if isinstance(value, int)]
        self._table = _label_table(len(self.classes), ignore_index, ignored, label_map or {})
        small = 0 <= ignore_index <= 255 and len(self.classes) <= 256
        self._dtype = torch.uint8 if small else torch.int32
        self.pairs = self._find_pairs(images, labels, image_suffix, label_suffix)
        self._names = _names([image for image, _ in self.pairs])

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        image_file, label_file = self.pairs[index]
        image = _rgb(image_file)
        labels = self._labels(label_file)
        if image.shape[:2] != labels.shape:
            sizes = [f"{width}x{height}" for height, width in (image.shape[:2], labels.shape)]
            raise UserError(
                f"{image_file} is {sizes[0]} and its label map {label_file} is {sizes[1]} "
                "(width x height): both must have one size"
            )
        return torch.from_numpy(image).permute(2, 0, 1), torch.from_numpy(labels).to(self._dtype)

    def name(self, index: int) -> str:
        """Stem of an image's file, for messages and the names of outputs; unique in the set."""
        return self._names[index]

    def _find_pairs(
        self, images: str, labels: str, image_suffix: str, label_suffix: str
    ) -> list[tuple[Path, Path]]:
        if not self.root.is_dir():
            raise UserError(f"root {self.root} is no folder: set it to the folder of the data set")
        if not isinstance(self.split, str) or not all(self.split.split("+")):
            raise UserError(f"split {self.split!r} is no split: write a name, or two as train+val")
        pairs: list[tuple[Path, Path]] = []
        # A layout without {split} names the same folders for each part: read them once.
        for image_part, label_part in dict.fromkeys(
            (images.replace("{split}", part), labels.replace("{split}", part))
            for part in self.split.split("+")
        ):
            found = _stems(self.root / image_part, image_suffix, self._layout(images, labels))
            maps = _stems(self.root / label_part, label_suffix, self._layout(images, labels))
            missing = [stem for stem in found if stem not in maps]
            if missing:
                raise UserError(
                    f"{found[missing[0]]} has no label map {missing[0]}{label_suffix}.png in "
                    f"{self.root / label_part} ({len(missing)} of {len(found)} images have none): "
                    "add it, or take the image away"
                )
            pairs += [(found[stem], maps[stem]) for stem in found]
        if not pairs:
            raise UserError(
                f"split {self.split!r} has no images in {self.root}: "
                f"expected {self._layout(images, labels)}"
            )
        return pairs

    def _layout(self, images: str, labels: str) -> str:
        return f"{self.root}/{images}/NAME.jpg beside {self.root}/{labels}/NAME.png"

    def _labels(self, file: Path) -> Array:
        """The label map of a file, (H, W), as class indices and ignore_index."""
        opened = _open(file)
        if opened.mode in ("1", "L", "P", "LA", "PA"):
            values = np.asarray(opened.getchannel(0) if opened.mode in ("LA", "PA") else opened)
        elif opened.mode.startswith("I"):
            values = np.asarray(opened)
            if values.min() < 0 or values.max() >= _FILE_VALUES:
                raise UserError(f"{file} holds label values beyond 16 bits: expected class indices")
        elif opened.mode in ("RGB", "RGBA"):
            return self._from_colours(file, np.asarray(opened.convert("RGB")))
        else:
            raise UserError(
                f"{file} is an image of mode {opened.mode}: expected class indices in an 8- or "
                "16-bit PNG, a palette PNG, or RGB colours"
            )
        labels: Array = self._table[values.astype(np.uint16, copy=False)]
        unknown = labels == _UNKNOWN
        if unknown.any():
            value, count, others = _most_frequent(values[unknown])
            raise UserError(
                f"{file} holds the label value {value} ({count} pixels){others}: expected 0 to "
                f"{len(self.classes) - 1} or ignore_index {self.ignore_index}; list it in "
                "`ignore` or `label_map`, or correct `classes`"
            )
        return labels

    def _from_colours(self, file: Path, image: Array) -> Array:
        """The label map that an RGB image (H, W, 3) draws in the colours of the classes."""
        if self._colours is None:
            raise UserError(
                f"{file} is an RGB image and the classes have no colours: give `palette`, or a "
                "classes.csv with the columns name,r,g,b, or save class indices in an 8-bit PNG"
            )
        colours, ignored = self._colours
        known = _codes(np.array(colours + ignored))
        if len(np.unique(known)) < len(known):
            raise UserError(f"two classes or ignored values share a colour, so {file} is ambiguous")
        index = np.arange(len(colours)).astype(np.uint16)
        meaning = np.append(self._table[index], [self.ignore_index] * len(ignored))
        order = np.argsort(known)
        codes = _codes(image)
        place = np.searchsorted(known[order], codes).clip(max=len(known) - 1)
        unknown = known[order][place] != codes
        if unknown.any():
            code, count, others = _most_frequent(codes[unknown])
            colour = (code >> 16, code >> 8 & 255, code & 255)
            raise UserError(
                f"{file} holds the colour {colour} ({count} pixels){others}, which is no class: "
                "add it to the palette, or to `ignore` as [r, g, b]"
            )
        labels: Array = meaning[order][place]
        return labels


def spaced_palette(count: int) -> list[Colour]:
    """Colours that are easy to tell apart, always the same for the same count.

    Hues step by the golden ratio, which keeps any number of them spread out; brightness and
    saturation change with each turn, so that near hues differ too.

    >>> spaced_palette(3)
    [(217, 54, 54), (54, 102, 217), (149, 217, 54)]
    """
    colours = []
    for i in range(count):
        saturation = (0.75, 0.5, 1.0)[i // 8 % 3]
        value = (0.85, 0.6, 1.0)[i // 8 // 3 % 3]
        rgb = colorsys.hsv_to_rgb(i * 0.618034 % 1, saturation, value)
        colours.append((round(rgb[0] * 255), round(rgb[1] * 255), round(rgb[2] * 255)))
    return colours


def _classes(
    root: Path, classes: Sequence[Any] | str | Path | None
) -> tuple[list[str], list[Colour] | None]:
    """Names, and colours where they are given."""
    where = "classes"
    if classes is None:
        found = [file for file in ("classes.csv", "classes.yaml") if (root / file).is_file()]
        if not found:
            raise UserError(
                f"the classes are not known: give `classes` a list of names, or put a classes.csv "
                f"(header name,r,g,b) or classes.yaml into {root}"
            )
        classes = found[0]
    if isinstance(classes, str | Path):
        file = root / Path(classes).expanduser()
        where, classes = str(file), _read_classes(file)
    if isinstance(classes, str) or not isinstance(classes, Sequence) or not classes:
        raise UserError(f"{where} lists no classes: expected names, or entries with name and color")
    names = [str(c.get("name", "") if isinstance(c, Mapping) else c).strip() for c in classes]
    colours = [c.get("color", c.get("colour")) if isinstance(c, Mapping) else None for c in classes]
    if not all(names) or len(set(names)) < len(names):
        twice = next((name for name in names if names.count(name) > 1), "")
        raise UserError(f"{where}: each class needs a name of its own, got {twice!r} twice or more")
    if all(colour is None for colour in colours):
        return names, None
    return names, [_colour(colour, where) for colour in colours]


def _read_classes(file: Path) -> Any:
    if not file.is_file():
        raise UserError(f"classes file {file} does not exist: expected a CSV or YAML file")
    try:
        text = file.read_text(encoding="utf-8-sig")
        if file.suffix.lower() != ".csv":
            return yaml.safe_load(text)
        rows = list(csv.DictReader(text.splitlines(), skipinitialspace=True))
    except (OSError, UnicodeDecodeError, yaml.YAMLError, csv.Error) as error:
        raise UserError(f"classes file {file} cannot be read: {_one_line(error)}") from None
    if rows and "name" not in rows[0]:
        raise UserError(f"{file} has the columns {list(rows[0])}: expected name,r,g,b")
    coloured = bool(rows) and {"r", "g", "b"} <= rows[0].keys()
    return [
        {"name": row["name"], "color": [row[c] for c in "rgb"] if coloured else None}
        for row in rows
    ]


def _colour(colour: Any, where: str) -> Colour:
    try:
        red, green, blue = (int(channel) for channel in colour)
    except (TypeError, ValueError):
        raise UserError(f"{where}: {colour!r} is no colour: expected [r, g, b]") from None
    if not all(0 <= channel <= 255 for channel in (red, green, blue)):
        raise UserError(f"{where}: colour {colour!r} is outside 0 to 255")
    return red, green, blue


def _label_table(
    num_classes: int, ignore_index: int, ignored: Sequence[int], label_map: Mapping[int, int]
) -> Array:
    """What each value in a file means: a class, ignore_index or _UNKNOWN."""
    table = np.full(_FILE_VALUES, _UNKNOWN, dtype=np.int32)
    table[:num_classes] = np.arange(num_classes)
    try:
        changes = {int(value): int(label) for value, label in label_map.items()}
    except (TypeError, ValueError):
        raise UserError(f"label_map {label_map!r}: expected whole numbers, value: class") from None
    changes.update(dict.fromkeys(ignored, ignore_index))
    if 0 <= ignore_index < _FILE_VALUES:
        changes.setdefault(ignore_index, ignore_index)
    for value, label in changes.items():
        if not 0 <= value < _FILE_VALUES:
            raise UserError(f"label value {value} in `ignore` or `label_map`: expected 0 to 65535")
        if label != ignore_index and not 0 <= label < num_classes:
            raise UserError(
                f"label_map sends {value} to {label}: expected a class, 0 to {num_classes - 1}, "
                f"or ignore_index {ignore_index}"
            )
        table[value] = label
    return table


def _stems(folder: Path, suffix: str, layout: str) -> dict[str, Path]:
    """Relative stem, without the suffix -> image file, sorted; hidden files are passed over."""
    if not folder.is_dir():
        raise UserError(f"{folder} is no folder: expected {layout}; correct root, split or pattern")
    found: dict[str, Path] = {}
    for file in sorted(_image_files(folder)):
        stem = file.relative_to(folder).with_suffix("").as_posix()
        if not stem.endswith(suffix):
            continue
        stem = stem.removesuffix(suffix)
        if stem in found:
            raise UserError(f"{found[stem]} and {file} bear one name: take one of them away")
        found[stem] = file
    return found


def _image_files(folder: Path) -> Iterator[Path]:
    known = {end for end, name in Image.registered_extensions().items() if name in Image.OPEN}
    for where, _, names in os.walk(folder, followlinks=True):
        for name in names:
            file = Path(where, name)
            if file.suffix.lower() in known and not name.startswith("."):
                yield file


def _names(files: Sequence[Path]) -> list[str]:
    """Stems; where two are alike, with the folders that tell them apart."""
    stems = [file.stem for file in files]
    if len(set(stems)) == len(stems):
        return stems
    top = os.path.commonpath(files)
    return ["--".join(file.relative_to(top).with_suffix("").parts) for file in files]


def _open(file: Path, upright: bool = False) -> Image.Image:
    """Reads and decodes an image file in full; upright turns it as its EXIF data ask."""
    try:
        with Image.open(file) as image:
            image.load()
            return ImageOps.exif_transpose(image) if upright else image
    # Pillow's decoders meet damaged files with many kinds of exceptions, not only OSError.
    except Exception as error:
        raise UserError(
            f"{file} cannot be read ({_one_line(error)}): replace it, or take the pair away"
        ) from None


def _rgb(file: Path) -> Array:
    """An image as uint8 RGB, (H, W, 3)."""
    image = _open(file, upright=True)
    if image.mode in ("F", "LAB"):
        raise UserError(
            f"{file} is an image of mode {image.mode}: save it as grey or RGB, 8 or 16 bits"
        )
    if image.mode.startswith("I"):
        # convert("RGB") would cut 16-bit values off at 255 instead of scaling them.
        grey = (np.asarray(image).clip(0, _FILE_VALUES - 1) // 257).astype(np.uint8)
        return np.repeat(grey[..., None], 3, axis=2)
    if image.mode == "P":
        image = image.convert("RGBA")  # the way past Pillow's complaint about transparency
    return np.array(image.convert("RGB"))


def _codes(colours: Array) -> npt.NDArray[np.int32]:
    """(..., 3) -> (...): one whole number for each colour."""
    wide = colours.astype(np.int32)
    return wide[..., 0] << 16 | wide[..., 1] << 8 | wide[..., 2]


def _most_frequent(values: Array) -> tuple[int, int, str]:
    """The most frequent value, its number of pixels, and how many other values there are."""
    found, counts = np.unique(values, return_counts=True)
    others = f" and {len(found) - 1} more such" if len(found) > 1 else ""
    return int(found[counts.argmax()]), int(counts.max()), others


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
