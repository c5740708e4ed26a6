"""Label maps: class indices, palettes or colours, and what each value of a file means."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from bpkd.datasets.colours import Colour
from bpkd.datasets.deep import Array
from bpkd.datasets.faults import UnknownValues, mending
from bpkd.datasets.images import MAX_PIXELS, Encoded, deep, open_image
from bpkd.errors import UserError

# Marks, in the table from file values to classes, a value that stands for nothing. No
# ignore_index can be mistaken for it.
_UNKNOWN = np.iinfo(np.int32).min
_FILE_VALUES = 2**16  # a label map holds 8 or 16 bits a pixel
_SHOWN = 4  # so many colours are named in a message
_BLOCK = 2**24  # so many pixels are looked up at once
# Grey of fewer bits than 8 comes from Pillow spread over 0 to 255: by this factor.
_SPREAD = {"L;2": 85, "L;4": 17}


class LabelReader:
    """Reads label maps: class indices in 8 or 16 bits, palette images, or RGB in exact colours.

    Args:
        num_classes: C.
        ignore_index: label of the pixels that belong to no class, here and in the files.
        ignored: further values in the files to ignore.
        label_map: value in the files -> class; values that it does not list stay as they are.
        colours: of the classes and then of what is ignored; None where RGB cannot be read.

    Raises:
        UserError: ``ignored`` or ``label_map`` make no sense.
    """

    def __init__(
        self,
        num_classes: int,
        ignore_index: int,
        ignored: Sequence[int],
        label_map: Mapping[int, int],
        colours: tuple[list[Colour], list[Colour]] | None,
    ) -> None:
        self.num_classes, self.ignore_index, self.colours = num_classes, ignore_index, colours
        small = 0 <= ignore_index <= 255 and num_classes <= 256
        self.dtype: type[np.generic] = np.uint8 if small else np.int32
        self.max_pixels = MAX_PIXELS
        self._table = _label_table(num_classes, ignore_index, ignored, label_map)
        known = self._table[:256] != _UNKNOWN
        self._unknown_bytes = bytes((~known).astype(np.uint8))
        self._byte_labels = bytes(np.where(known, self._table[:256], 0).astype(np.uint8))

    def __call__(self, file: Path | Encoded) -> Array:
        """The label map of a file, (H, W), as class indices and ignore_index.

        Raises:
            UserError: it is damaged or a JPEG, or holds a value or colour that is no class.
        """
        opened = open_image(file, max_pixels=self.max_pixels)
        if opened.format in ("JPEG", "MPO"):
            raise UserError(f"{file} is a JPEG, which blurs label values; save label maps as PNG")
        rawmode = str(opened.info["rawmode"])
        if rawmode.startswith("LA;16"):  # Pillow spreads grey with alpha over four channels
            return self.from_values(deep(opened, file)[..., 0], str(file))
        if opened.mode in ("RGB", "RGBA"):
            return self._from_colours(file, np.asarray(opened.convert("RGB")))
        if opened.mode in ("1", "L", "P", "LA", "PA"):
            values = np.asarray(opened.getchannel(0) if opened.mode in ("LA", "PA") else opened)
            if spread := _SPREAD.get(rawmode):
                values = values // spread
            if opened.mode in ("P", "PA"):
                table = self._by_palette(opened, values, file)
                if table is not None:
                    by_colour: Array = table[values]
                    return by_colour
        elif opened.mode.startswith("I"):
            values = np.asarray(opened)
        elif opened.mode == "F":
            values = _whole(np.asarray(opened), file)
        else:
            raise UserError(
                f"{file} is an image of mode {opened.mode}: expected class indices in an 8- or "
                "16-bit PNG, a palette PNG, or RGB colours"
            )
        return self.from_values(values, str(file))

    def from_values(self, values: Array, where: str) -> Array:
        """The label map that an array of a file's values, (H, W), stands for.

        Args:
            values: whole numbers.
            where: for the message.

        Raises:
            UserError: a value is no class.

        >>> reader = LabelReader(2, 255, [0], {1: 0, 2: 1}, None)
        >>> reader.from_values(np.array([[0, 1, 2]]), "a.png")
        array([[255,   0,   1]], dtype=uint8)
        """
        fits = values.dtype in (np.bool_, np.uint8, np.uint16) or values.size == 0
        if not fits and (values.min() < 0 or values.max() >= _FILE_VALUES):
            raise UserError(f"{where} holds label values beyond 16 bits: expected class indices")
        if values.dtype == np.uint8 and self.dtype is np.uint8:
            content = values.tobytes()
            if b"\x01" not in content.translate(self._unknown_bytes):
                mapped = bytearray(content).translate(self._byte_labels)
                return np.frombuffer(mapped, dtype=np.uint8).reshape(values.shape)
        labels: Array = np.empty(values.shape, dtype=self.dtype)
        unknown: Counter[int] = Counter()
        rows = max(1, _BLOCK // max(1, values.shape[1]))
        for top in range(0, len(values), rows):  # a large map is never held twice
            block = values[top : top + rows]
            meant = self._table[block.astype(np.uint16, copy=False)]
            if (wrong := meant == _UNKNOWN).any():
                unknown.update(_counted(block[wrong]))
            labels[top : top + rows] = meant
        if unknown:
            value, count, others = _most_frequent(unknown)
            zero = bool((values == 0).any())
            mend = mending(list(unknown), self.num_classes, self.ignore_index, zero)
            raise UnknownValues(
                f"{where} holds the label value {value} ({count} pixels){others}: expected 0 to "
                f"{self.num_classes - 1} or ignore_index {self.ignore_index}; correct `classes`, "
                f"or set {mend}",
                sorted(unknown),
                zero,
            )
        return labels

    def _by_palette(self, opened: Image.Image, values: Array, file: Path | Encoded) -> Array | None:
        """Index -> label by the palette's colours, where these are the classes' in another order.

        A program may store only the colours that a picture shows: its indices are then no classes.

        Returns:
            None where the index is the class: the classes have no colours, the palette has none
            of them, or has them under the classes' own indices.

        Raises:
            UserError: some of the colours say other classes than the indices do, and some say none.
        """
        if self.colours is None:
            return None
        colours, ignored = self.colours
        if len({*colours, *ignored}) < len(colours) + len(ignored):
            return None
        meaning = {colour: int(self._table[i]) for i, colour in enumerate(colours)}
        meaning |= dict.fromkeys(ignored, self.ignore_index)
        flat = opened.getpalette("RGB") or []
        palette = list(zip(flat[::3], flat[1::3], flat[2::3], strict=False))
        used = np.flatnonzero(np.bincount(values.ravel(), minlength=256))
        said = {int(i): meaning.get(palette[i]) if i < len(palette) else None for i in used}
        other = [i for i, label in said.items() if label is not None and label != self._table[i]]
        if not other:
            return None
        if None in said.values():
            unknown = next(i for i, label in said.items() if label is None)
            colour = palette[unknown] if unknown < len(palette) else None
            raise UserError(
                f"{file}: its palette has the colour of class {said[other[0]]} under index "
                f"{other[0]}, and under index {unknown} the colour {colour}, which is no class's: "
                "add that to the palette or to `ignore` as [r, g, b]; or give the classes no "
                "colours, and the index is the class"
            )
        table: Array = np.full(256, self.ignore_index, dtype=self.dtype)
        for index, label in said.items():
            table[index] = label
        return table

    def _from_colours(self, file: Path | Encoded, image: Array) -> Array:
        """The label map that an RGB image (H, W, 3) draws in the colours of the classes."""
        if self.colours is None:
            found = [_colour(code) for code, _ in _counted(_codes(image)).most_common(_SHOWN + 1)]
            shown = ", ".join(map(str, found[:_SHOWN])) + (", ..." if found[_SHOWN:] else "")
            raise UserError(
                f"{file} is an RGB image (its colours: {shown}) and the classes have no colours: "
                "give `palette`, an [r, g, b] for each class, or a classes.csv with the columns "
                "name,r,g,b, or save class indices in an 8-bit PNG"
            )
        colours, ignored = self.colours
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
            code, count, others = _most_frequent(_counted(codes[unknown]))
            raise UserError(
                f"{file} holds the colour {_colour(code)} ({count} pixels){others}, which is no "
                "class: add it to the palette, or to `ignore` as [r, g, b]"
            )
        labels: Array = meaning[order][place]
        return labels


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


def _codes(colours: Array) -> npt.NDArray[np.int32]:
    """(..., 3) -> (...): one whole number for each colour."""
    wide = colours.astype(np.int32)
    return wide[..., 0] << 16 | wide[..., 1] << 8 | wide[..., 2]


def _colour(code: int) -> Colour:
    """The colour that :func:`_codes` numbered."""
    return code >> 16, code >> 8 & 255, code & 255


def _counted(values: Array) -> Counter[int]:
    found, counts = np.unique(values, return_counts=True)
    return Counter(dict(zip(found.tolist(), counts.tolist(), strict=True)))


def _most_frequent(counts: Counter[int]) -> tuple[int, int, str]:
    """The most frequent value, its number of pixels, and how many other values there are."""
    value, count = counts.most_common(1)[0]
    return value, count, f" and {len(counts) - 1} more such" if len(counts) > 1 else ""


def _whole(values: Array, file: Path | Encoded) -> Array:
    """Labels that a program saved as floats, as whole numbers.

    Raises:
        UserError: some are none.
    """
    odd = values[~np.isfinite(values) | (values != np.floor(values))]
    if odd.size:
        raise UserError(
            f"{file} holds {odd.flat[0]:g} ({odd.size} pixels are no whole numbers): expected "
            "class indices"
        )
    return np.clip(values, -1, _FILE_VALUES).astype(np.int32)
