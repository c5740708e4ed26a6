"""Image files too large to be held: read from top to bottom, a band of rows at a time."""

from __future__ import annotations

import logging
from pathlib import Path
from types import EllipsisType
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bpkd.datasets.deep import FULL, Array, to_bytes
from bpkd.datasets.images import Encoded, Reading, glance
from bpkd.errors import UserError
from bpkd.support.extras import extra

#: Pillow's names of the formats that libvips gives rows of, the same to the bit; and its loaders.
_LOADERS = {"JPEG": "jpegload", "MPO": "jpegload", "PNG": "pngload", "TIFF": "tiffload"}
_VALUES = {"uchar": np.uint8, "ushort": np.uint16}
_COLOURS = ("srgb", "rgb", "b-w", "rgb16", "grey16")
#: A photo of so many pixels is large: 4096 x 4096.
LARGE = 2**24
_ROWS = 256  # so many rows are read at once


class Unreadable(UserError):
    """A photo that cannot be read, where others can."""


class Bands:
    """An image that is read as it is asked for: windows from left to right, from top to bottom.

    It is cut as a tensor (1, 3, H, W) of bytes is, ``bands[..., rows, columns]``, and holds no more
    than the rows of the last cut. A cut further up begins at the top of the file again.

    Args:
        file: a JPEG, PNG or TIFF that stands upright.
        reading: black and white of more than 8 bits.

    Raises:
        UserError: libvips is not installed, or cannot give rows of this file.
    """

    def __init__(self, file: Path, reading: Reading) -> None:
        self.file, self.range = file, reading.value_range
        self._vips = extra("pyvips", f"reading {file} in bands", "large")
        logging.getLogger("pyvips").setLevel(logging.ERROR)  # what TIFF's tags should be like
        known = glance(file)
        if known.end > file.stat().st_size:  # libvips makes up what is missing
            raise Unreadable(f"{file} ends early: replace it, or take it away")
        self._loader = _LOADERS[known.format]
        self._held: Array = np.empty((0, 0, 3), np.uint8)
        self._top, self._next = 0, 0
        self._begin()
        if self._image.format not in _VALUES or self._image.interpretation not in _COLOURS:
            kind = f"{self._image.interpretation}, {self._image.format}"
            raise UserError(f"{file} cannot be read in bands ({kind})")
        self.shape = torch.Size((1, 3, self._image.height, self._image.width))

    def __len__(self) -> int:
        return 1

    def __getitem__(self, key: tuple[EllipsisType, slice, slice]) -> Tensor:
        """Bytes (1, 3, h, w) of some rows and columns."""
        _, rows, columns = key
        if rows.start < self._top:
            self._begin()
        self._held = self._held[rows.start - self._top :]
        self._top = min(rows.start, self._next)
        parts = [self._held]
        while self._next < rows.stop:
            top = self._next
            part = self._read(min(_ROWS, rows.stop - top))
            if self._next > rows.start:
                parts.append(part[max(rows.start - top, 0) :])
        if len(parts) > 1:
            self._held = np.concatenate([part for part in parts if len(part)])
            self._top = rows.start
        cut = self._held[: rows.stop - rows.start, columns]
        return torch.from_numpy(cut).permute(2, 0, 1)[None]

    def _begin(self) -> None:
        """Open the file at its top."""
        load = getattr(self._vips.Image, self._loader)
        try:
            self._image = load(str(self.file), access="sequential", fail_on="truncated")
            self._region = self._vips.Region.new(self._image)
        except self._vips.Error as error:
            raise self._unreadable(error) from None
        self._held = np.empty((0, self._image.width, 3), np.uint8)
        self._top, self._next = 0, 0

    def greatest(self) -> float:
        """The greatest value in the file; it is read from its top, in bands."""
        self._begin()
        found = 0.0
        while self._next < self.shape[-2]:
            values = self._values(min(_ROWS, self.shape[-2] - self._next))
            found = max(found, float(values[..., : 1 if values.shape[2] < 3 else 3].max()))
        return found

    def _read(self, count: int) -> Array:
        """The next rows as bytes (h, W, 3)."""
        values = self._values(count)
        if values.dtype != np.uint8:
            values = to_bytes(values, self.range or FULL)
        return values[..., :3] if values.shape[2] > 2 else values[..., :1].repeat(3, axis=2)

    def _values(self, count: int) -> Array:
        """The next rows as the file has them, (h, W, C)."""
        image = self._image
        try:
            data = self._region.fetch(0, self._next, image.width, count)
        except self._vips.Error as error:
            raise self._unreadable(error) from None
        self._next += count
        values: Array = np.frombuffer(data, _VALUES[image.format])
        return values.reshape(count, image.width, image.bands)

    def _unreadable(self, error: Any) -> Unreadable:
        reason = " ".join(str(error.detail or error.message).split())
        return Unreadable(f"{self.file} cannot be read ({reason}): replace it, or take it away")


def in_bands(file: Path | Encoded, reading: Reading) -> Bands | None:
    """A file of at least ``LARGE`` pixels as bands; None where it is smaller, or has to be held.

    What libvips does not give rows of as Pillow does: other formats, images that EXIF turns,
    other colours than grey and RGB.
    """
    known = glance(file)
    pixels = known.size[0] * known.size[1]
    if isinstance(file, Encoded) or not LARGE <= pixels <= reading.max_pixels:
        return None
    if known.format not in _LOADERS or (reading.upright and known.orientation != 1):
        return None
    try:
        return Bands(file, reading)
    except UserError:  # it is read as a whole, where that is possible
        return None
