"""Photos too large to be held: segmented by windows, read and written in bands of rows."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np
import torch
from torch import nn

from bpkd.datasets.bands import Bands
from bpkd.inference.overlay import overlay
from bpkd.inference.windows import Choice, Windows, pieces
from bpkd.support.files import replacing
from bpkd.support.png import Array, PngRows

_ROWS = 256  # so many rows are written at once

Kind = type[np.unsignedinteger[Any]]
Palette = Sequence[tuple[int, int, int]]


class Labels:
    """A label map in a file, written in pieces and read from the top.

    Args:
        file: open to write and to read.
        size: height and width.
        dtype: of a pixel.
    """

    def __init__(self, file: IO[bytes], size: Sequence[int], dtype: Kind) -> None:
        self._file, self.size, self.dtype = file, tuple(size), np.dtype(dtype)

    def put(self, rows: slice, columns: slice, values: Array) -> None:
        """Write the labels of some rows and columns."""
        for row, line in zip(range(rows.start, rows.stop), values, strict=True):
            self._file.seek((row * self.size[1] + columns.start) * self.dtype.itemsize)
            self._file.write(line.astype(self.dtype).tobytes())

    def rows(self, top: int, bottom: int) -> Array:
        """The labels (h, W) of some rows."""
        line = self.size[1] * self.dtype.itemsize
        self._file.seek(top * line)
        data = self._file.read((bottom - top) * line)
        return np.frombuffer(data, self.dtype).reshape(-1, self.size[1])


@torch.inference_mode()
def segment(
    network: nn.Module,
    photo: Bands,
    windows: Windows,
    choose: Choice,
    palette: Palette,
    places: tuple[Path, Path | None],
    ignored: int | None = None,
) -> None:
    """Write a photo's label map and overlay; only a row of windows is ever held.

    Args:
        network: images -> SegOutput.
        photo: is read twice: for the labels and for the overlay.
        windows: and their stride.
        choose: scores (1, C, h, w) -> classes (1, h, w).
        palette: the classes' colours.
        places: of the label map, and of the overlay, or None: none is drawn.
        ignored: what may stand in the label map besides classes.
    """
    size, wide = photo.shape[-2:], len(palette) > 256 or (ignored or 0) > 255
    dtype: Kind = np.uint16 if wide else np.uint8
    # The label map last: where it is, its overlay is.
    with (
        replacing(places[0], sync=False) as temporary,
        tempfile.TemporaryFile(dir=places[0].parent) as file,  # on the disk that has to take it
    ):
        labels = Labels(file, size, dtype)
        for rows, columns, logits in pieces(network, photo, *windows):
            labels.put(rows, columns, choose(logits)[0].cpu().numpy())
        if places[1] is not None:
            _overlay(photo, labels, palette, places[1])
        if ignored is not None:
            palette = [*palette, *[(0, 0, 0)] * (256 - len(palette))]
        with temporary.open("wb") as stream:
            picture = PngRows(stream, size, 1, dtype, () if wide else palette)
            for rows in _bands(size[0]):
                picture.add(labels.rows(rows.start, rows.stop))
            picture.end()


def _overlay(photo: Bands, labels: Labels, palette: Palette, place: Path) -> None:
    everywhere = slice(0, labels.size[1])
    with replacing(place, sync=False) as temporary, temporary.open("wb") as stream:
        picture = PngRows(stream, labels.size, channels=3)
        for rows in _bands(labels.size[0]):
            classes = torch.from_numpy(labels.rows(rows.start, rows.stop).astype(np.int32))
            picture.add(overlay(photo[..., rows, everywhere][0], classes, palette))
        picture.end()


def _bands(height: int) -> list[slice]:
    """Rows from top to bottom.

    >>> [(rows.start, rows.stop) for rows in _bands(300)]
    [(0, 256), (256, 300)]
    """
    return [slice(top, min(top + _ROWS, height)) for top in range(0, height, _ROWS)]
