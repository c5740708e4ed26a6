"""A photo that is stored turned, and annotations of it: which way up were they made?"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from bpkd.datasets.deep import Array
from bpkd.datasets.images import glance
from bpkd.errors import UserError

_UPRIGHT = {
    2: lambda pixels: pixels[:, ::-1],
    3: lambda pixels: pixels[::-1, ::-1],
    4: lambda pixels: pixels[::-1],
    5: lambda pixels: np.swapaxes(pixels, 0, 1),
    6: lambda pixels: np.rot90(pixels, -1),
    7: lambda pixels: np.swapaxes(pixels[::-1, ::-1], 0, 1),
    8: lambda pixels: np.rot90(pixels, 1),
}


class Turning:
    """How annotations of one size lie on an image of another.

    Photos are read upright, as their EXIF data ask. Annotations of the upright size were made on
    the upright photo, as in every tool that runs in a browser. Those of the size that the file
    stores were made on the photo as it is stored: they are turned with it. Any other size is a
    mistake.

    Args:
        image: the photo's file.
        size: (H, W) of the upright photo.
        own: (H, W) of the annotations; None where they do not say, which counts as upright.
        where: the annotation, for the message.

    Raises:
        UserError: the sizes have nothing to do with each other.
    """

    def __init__(
        self, image: Path, size: tuple[int, int], own: tuple[int, int] | None, where: str
    ) -> None:
        self.size = size if own is None else own
        self._orientation = 1
        if own is None or own == size:
            return
        seen = glance(image)
        self._orientation = seen.orientation
        if own != seen.size or self._orientation not in _UPRIGHT:
            raise UserError(
                f"{image} is {size[1]}x{size[0]} and its annotation {where} is of "
                f"{own[1]}x{own[0]} (width x height): both must have one size; put the photo "
                "there that was annotated, or annotate this one"
            )

    def __call__(self, pixels: Array) -> Array:
        """Pixels (H, W) of the annotations' size, upright."""
        turn = _UPRIGHT.get(self._orientation)
        return pixels if turn is None else np.ascontiguousarray(turn(pixels))
