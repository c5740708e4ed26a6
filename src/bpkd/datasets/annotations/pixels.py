"""Areas that tools write as pixels: run lengths, and pictures inside of JSON."""

from __future__ import annotations

import base64
import binascii
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO

import numpy as np
from PIL import Image

from bpkd.datasets.annotations.polygons import Patch, clipped
from bpkd.datasets.deep import Array
from bpkd.errors import UserError
from bpkd.support.messages import one_line


@dataclass(frozen=True)
class Runs:
    """Run lengths of a box, row by row: outside, inside, outside, ...

    >>> Runs("a", (1, 3), 5, 0, 2, 2).patch(4, 9).mask.tolist()
    [[False, True], [True, True]]
    """

    where: str
    counts: Sequence[int]
    left: int
    top: int
    width: int
    height: int

    def patch(self, height: int, width: int) -> Patch:
        """Its pixels in an image of that size."""
        if sum(self.counts) != self.width * self.height or min(self.counts, default=0) < 0:
            raise UserError(
                f"{self.where}: run lengths of {sum(self.counts)} pixels do not fill the box of "
                f"{self.width}x{self.height}: export it anew"
            )
        inside = np.arange(len(self.counts)) % 2 == 1
        mask = np.repeat(inside, self.counts).reshape(self.height, self.width)
        return clipped(Patch(mask, self.left, self.top), height, width)


@dataclass(frozen=True)
class Picture:
    """A PNG in base64, perhaps deflated: what is painted there is the object.

    Attributes:
        where: the annotation, for messages.
        data: base64.
        left: column of its first pixel in the image.
        top: row of its first pixel in the image.
        by_alpha: whether opacity says what is painted, where the picture has any.
    """

    where: str
    data: str
    left: int
    top: int
    by_alpha: bool = False

    def patch(self, height: int, width: int) -> Patch:
        """Its pixels in an image of that size."""
        try:
            data = base64.b64decode(self.data)
            if not data.startswith(b"\x89PNG"):
                data = zlib.decompress(data)
            with Image.open(BytesIO(data)) as picture:
                alpha = self.by_alpha and "A" in picture.getbands()
                values = np.asarray(picture.getchannel("A") if alpha else picture.convert("L"))
        except (binascii.Error, zlib.error, OSError, ValueError, TypeError) as error:
            raise UserError(
                f"{self.where}: a bitmap cannot be read ({one_line(error)}): export it anew"
            ) from None
        return clipped(Patch(values > 0, self.left, self.top), height, width)


@dataclass(frozen=True)
class Whole:
    """An area that is stored as a mask of the whole image: bool (H, W), packed to bits."""

    bits: bytes
    width: int
    height: int

    @classmethod
    def of(cls, mask: Array) -> Whole:
        """Packed from bool (H, W)."""
        return cls(np.packbits(mask).tobytes(), mask.shape[1], mask.shape[0])

    def patch(self, height: int, width: int) -> Patch:
        """Its pixels in an image of that size."""
        bits = np.frombuffer(self.bits, np.uint8)
        mask = np.unpackbits(bits, count=self.width * self.height).astype(bool)
        return clipped(Patch(mask.reshape(self.height, self.width), 0, 0), height, width)
