"""PNG files written a band of rows at a time: Pillow wants the whole picture."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
_INDEXED = 3


class PngRows:
    """A PNG that grows from the top.

    Args:
        stream: of the file.
        size: height and width.
        channels: 1 or 3.
        dtype: of a channel, uint8 or uint16.
        palette: colours of the indices 0, 1, ..., for one channel of 8 bits; empty: grey.

    Example:
        >>> from io import BytesIO
        >>> from PIL import Image
        >>> file = BytesIO()
        >>> picture = PngRows(file, (2, 3), palette=[(9, 8, 7), (0, 0, 0)])
        >>> picture.add(np.array([[0, 1, 0]], np.uint8))
        >>> picture.add(np.array([[1, 1, 1]], np.uint8))
        >>> picture.end()
        >>> np.asarray(Image.open(file)).tolist(), Image.open(file).getpalette()[:3]
        ([[0, 1, 0], [1, 1, 1]], [9, 8, 7])
    """

    def __init__(
        self,
        stream: BinaryIO,
        size: Sequence[int],
        channels: int = 1,
        dtype: type[np.unsignedinteger[Any]] = np.uint8,
        palette: Sequence[tuple[int, int, int]] = (),
    ) -> None:
        self._stream, self._deflate = stream, zlib.compressobj()
        self._pixel = channels * np.dtype(dtype).itemsize
        colours = 2 if channels > 1 else _INDEXED if palette else 0
        bits = 8 * np.dtype(dtype).itemsize
        stream.write(b"\x89PNG\r\n\x1a\n")
        self._chunk(b"IHDR", struct.pack(">IIBBBBB", size[1], size[0], bits, colours, 0, 0, 0))
        if palette:
            self._chunk(b"PLTE", bytes(value for colour in palette for value in colour))

    def add(self, rows: Array) -> None:
        """Write the next rows, (h, W) or (h, W, channels)."""
        swapped = rows.astype(rows.dtype.newbyteorder(">"))
        lines = np.ascontiguousarray(swapped).view(np.uint8).reshape(len(rows), -1)
        filtered = np.zeros((len(rows), lines.shape[1] + 1), np.uint8)
        filtered[:, 1:] = lines
        if self._pixel > 1:  # each byte less that of the pixel before it ("Sub"), which is smaller
            filtered[:, 0] = 1
            filtered[:, 1 + self._pixel :] -= lines[:, : -self._pixel]
        if packed := self._deflate.compress(filtered.tobytes()):
            self._chunk(b"IDAT", packed)

    def end(self) -> None:
        """Write what is left."""
        self._chunk(b"IDAT", self._deflate.flush())
        self._chunk(b"IEND", b"")

    def _chunk(self, name: bytes, data: bytes) -> None:
        self._stream.write(struct.pack(">I", len(data)) + name + data)
        self._stream.write(struct.pack(">I", zlib.crc32(name + data)))
