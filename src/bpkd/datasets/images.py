"""Image files: finding them, reading them as RGB."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image, ImageOps
from torch import Tensor

from bpkd.errors import UserError
from bpkd.support.messages import one_line

Array: TypeAlias = npt.NDArray[Any]


@dataclass(frozen=True)
class Encoded:
    """An image file that is in memory: its bytes, and what messages call it."""

    data: bytes
    name: str

    def __str__(self) -> str:
        return self.name


def image_files(folder: Path) -> Iterator[Path]:
    """The images in a folder and the folders below it, sorted.

    Hidden files, and hidden folders such as ``.ipynb_checkpoints``, are passed over.
    """
    known = {end for end, name in Image.registered_extensions().items() if name in Image.OPEN}
    found: list[Path] = []
    for where, folders, names in os.walk(folder, followlinks=True):
        folders[:] = [name for name in folders if not name.startswith(".")]  # os.walk goes by it
        found += (Path(where, name) for name in names if not name.startswith("."))
    for file in sorted(found):
        if file.suffix.lower() in known:
            yield file


def read_image(file: Path | Encoded) -> Tensor:
    """An image of any format that Pillow reads, as uint8 RGB (3, H, W).

    Alpha is dropped, EXIF rotation applied, 16-bit grey scaled.

    Raises:
        UserError: the file is damaged, or holds no image that can be seen.
    """
    return torch.from_numpy(_rgb(file)).permute(2, 0, 1)


def open_image(file: Path | Encoded, upright: bool = False) -> Image.Image:
    """Reads and decodes an image file in full; upright turns it as its EXIF data ask.

    ``info["rawmode"]`` tells how the file stores a pixel, where Pillow says so: "L;4" is grey in 4
    bits, which Pillow spreads over 0 to 255.

    Raises:
        UserError: the file is damaged or no image.
    """
    try:
        with Image.open(BytesIO(file.data) if isinstance(file, Encoded) else file) as image:
            tiles = getattr(image, "tile", ())
            arguments = tiles[0][3] if tiles else None
            image.load()
            image.info["rawmode"] = arguments[0] if isinstance(arguments, tuple) else arguments
            return ImageOps.exif_transpose(image) if upright else image
    # Pillow's decoders meet damaged files with many kinds of exceptions, not only OSError.
    except Exception as error:
        raise UserError(
            f"{file} cannot be read ({one_line(error)}): replace it, or take it away"
        ) from None


def _rgb(file: Path | Encoded) -> Array:
    """An image as uint8 RGB, (H, W, 3)."""
    image = open_image(file, upright=True)
    if image.mode in ("F", "LAB"):
        raise UserError(
            f"{file} is an image of mode {image.mode}: save it as grey or RGB, 8 or 16 bits"
        )
    if image.mode.startswith("I"):
        # convert("RGB") would cut 16-bit values off at 255 instead of scaling them.
        grey = (np.asarray(image).clip(0, 2**16 - 1) // 257).astype(np.uint8)
        return np.repeat(grey[..., None], 3, axis=2)
    if image.mode == "P":
        image = image.convert("RGBA")  # the way past Pillow's complaint about transparency
    return np.array(image.convert("RGB"))
