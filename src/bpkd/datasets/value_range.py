"""The range that a data set's images of more than 8 bits use: measured once, the same for all."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from bpkd.datasets.bands import in_bands
from bpkd.datasets.deep import FULL, least_bits
from bpkd.datasets.images import AS_IT_IS, Encoded, Reading, deep, open_image, stored_deep
from bpkd.errors import UserError

_PROBED = 8  # so many are opened, to see whether there are such images at all
_MEASURED = 48  # so many of these are read

Source = Callable[[int], Path | Encoded]


def measured(source: Source, count: int, reading: Reading = AS_IT_IS) -> Reading:
    """A reading with the range that the images use, where they are of more than 8 bits.

    A camera of 12 bits leaves files of 16 whose values end at 4095: the range is that of the
    fewest bits (8, 10, 12, 14, 16) that hold the greatest value found. It is one range for all
    images, so that dark ones stay dark. Images spread evenly over the set are looked at.

    Args:
        source: index -> image file.
        count: how many there are.
        reading: one with a range, or of files that need none, stays as it is.
    """
    if reading.value_range is not None:
        return reading
    probed = _greatest([source(i) for i in _spread(_PROBED, count)], reading.max_pixels)
    if probed is None:
        return reading
    files = [source(i) for i in _spread(_MEASURED, count)]
    greatest = _greatest(files, reading.max_pixels) or probed
    if greatest > FULL[1]:
        return reading  # reading says what to do
    return replace(reading, value_range=least_bits(greatest), measured=True)


def _spread(wanted: int, count: int) -> Sequence[int]:
    """Indices spread evenly.

    >>> _spread(3, 10), _spread(8, 2)
    ([0, 3, 6], [0, 1])
    """
    wanted = min(wanted, count)
    return [i * count // wanted for i in range(wanted)]


def _greatest(files: Sequence[Path | Encoded], max_pixels: int) -> float | None:
    """The greatest whole number in those of more than 8 bits; None where there are none."""
    found: list[float] = []
    for file in files:
        try:
            if not stored_deep(file):
                continue
            if bands := in_bands(file, Reading(upright=False, max_pixels=max_pixels)):
                found.append(bands.greatest())
                continue
            values = deep(open_image(file, max_pixels=max_pixels), file)
        except UserError:  # it is told when the image is read
            continue
        if values.dtype.kind != "f" and values.size and values.min() >= 0:
            colours = (
                values[..., : 1 if values.shape[2] == 2 else 3] if values.ndim == 3 else values
            )
            found.append(float(colours.max()))
    return max(found, default=None)
