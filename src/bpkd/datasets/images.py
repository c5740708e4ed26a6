"""Image files: reading them as RGB."""

from __future__ import annotations

from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from bpkd.datasets.deep import FULL, Array, ValueRange, deep_values, is_deep, to_bytes
from bpkd.errors import UserError
from bpkd.support.memory import check_room
from bpkd.support.messages import one_line

#: Of the largest image that is read unless somebody says otherwise: 16384 x 16384.
MAX_PIXELS = 2**28
_ORIENTATION = 0x0112
_PARTS = ((273, 279), (324, 325))  # TIFF's tags of where strips and tiles are, and how long
_ROWS = 2048  # so many rows are converted at once
# Bytes that a pixel takes while it is decoded and converted.
_PIXEL = {"1": 4, "L": 4, "P": 5, "I;16": 8, "I": 10, "F": 10}
_IN_PARTS = (
    "cut it into tiles; bpkd predict --window reads JPEG, PNG and TIFF in bands where libvips is "
    "installed (pip install 'bpkd[large]')"
)
_limit = Lock()


@dataclass(frozen=True)
class Encoded:
    """An image file that is in memory: its bytes, and what messages call it."""

    data: bytes
    name: str

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True)
class Reading:
    """How images are read.

    Attributes:
        value_range: black and white of images of more than 8 bits; None: 0 and 65535.
        upright: whether an image is turned as its EXIF data ask.
        max_pixels: of the largest image that is read.
        measured: whether the range was found in the images, not given.
    """

    value_range: ValueRange | None = None
    upright: bool = True
    max_pixels: int = MAX_PIXELS
    measured: bool = False

    def __post_init__(self) -> None:
        if self.value_range is not None and not self.value_range[0] < self.value_range[1]:
            raise UserError(
                f"value_range {list(self.value_range)}: expected [black, white], black below white"
            )


AS_IT_IS = Reading()


def read_image(file: Path | Encoded, reading: Reading = AS_IT_IS) -> Tensor:
    """An image of any format that Pillow reads, as uint8 RGB (3, H, W).

    Alpha is dropped, and what has more than 8 bits a channel is scaled to 8.

    Raises:
        UserError: the file is damaged, too large, or holds no image that can be seen.
    """
    image = open_image(file, reading.upright, reading.max_pixels)
    return torch.from_numpy(rgb(image, file, reading.value_range)).permute(2, 0, 1)


def open_image(
    file: Path | Encoded, upright: bool = False, max_pixels: int = MAX_PIXELS
) -> Image.Image:
    """Reads and decodes an image file in full; upright turns it as its EXIF data ask.

    ``info["rawmode"]`` tells how the file stores a pixel, where Pillow says so: "L;4" is grey in 4
    bits, which Pillow spreads over 0 to 255. ``info["turned"]`` is EXIF's orientation, where the
    image was turned by it.

    Raises:
        UserError: the file is damaged, no image, or has more than ``max_pixels``.
    """
    try:
        with _opened(file) as image:
            width, height = image.size
            if width * height > max_pixels:
                raise UserError(
                    f"{file} has {width}x{height} pixels, more than max_pixels {max_pixels:,}: if "
                    f"the file is your own, set max_pixels to {width * height} or more"
                )
            rawmode = _rawmode(image)
            bytes_ = width * height * _PIXEL.get(image.mode, 7)
            check_room(bytes_, f"reading {file} ({width}x{height}) as a whole", _IN_PARTS)
            image.load()
            turned = _orientation(image) if upright else 1
            shown = ImageOps.exif_transpose(image) if turned != 1 else image
            shown.format = image.format
            shown.info |= {"rawmode": rawmode, "turned": turned}
            return shown
    except UserError:
        raise
    # Pillow's decoders meet damaged files with many kinds of exceptions, not only OSError.
    except Exception as error:
        raise UserError(
            f"{file} cannot be read ({one_line(error)}): replace it, or take it away"
        ) from None


def stored_deep(file: Path | Encoded) -> bool:
    """Whether a file's header says that it has more than 8 bits a channel; nothing is decoded."""
    try:
        with _opened(file) as image:
            image.info["rawmode"] = _rawmode(image)
            return is_deep(image)
    except Exception:  # whatever a damaged file is met with: it is told when the image is read
        return False


@dataclass(frozen=True)
class Glance:
    """What a file's header says of its image.

    Attributes:
        format: Pillow's name of it; empty where the file cannot be read.
        size: height and width, as the file has them.
        orientation: EXIF's, 1 to 8, where 1 is upright or not said.
        end: where the last strip or tile of a TIFF ends, in bytes; 0 in other formats.
    """

    format: str = ""
    size: tuple[int, int] = (0, 0)
    orientation: int = 1
    end: int = 0


def glance(file: Path | Encoded) -> Glance:
    """What a file's header says; nothing is decoded."""
    try:
        with _opened(file) as image:
            return Glance(image.format or "", image.size[::-1], _orientation(image), _end(image))
    except Exception:  # as above
        return Glance()


def _opened(file: Path | Encoded) -> Image.Image:
    """A file's header, of an image of any size.

    Pillow's own limit is of the whole process and no key; ours is held to instead.
    """
    with _limit:
        before, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        try:
            return Image.open(BytesIO(file.data) if isinstance(file, Encoded) else file)
        finally:
            Image.MAX_IMAGE_PIXELS = before


def _rawmode(image: Image.Image) -> Any:
    tiles = getattr(image, "tile", ())
    arguments = tiles[0][3] if tiles else None
    return arguments[0] if isinstance(arguments, tuple) and arguments else arguments


def _end(image: Image.Image) -> int:
    tags = getattr(image, "tag_v2", {})
    for offsets, counts in _PARTS:
        if offsets in tags and counts in tags:
            ends = np.atleast_1d(tags[offsets]) + np.atleast_1d(tags[counts])
            return int(ends.max(initial=0))
    return 0


def _orientation(image: Image.Image) -> int:
    """EXIF's orientation, 1 to 8; 1 is upright, or not said."""
    found = image.getexif().get(_ORIENTATION, 1)
    return found if isinstance(found, int) and 1 <= found <= 8 else 1


def deep(image: Image.Image, file: Path | Encoded) -> Array:
    """The values of an opened image of more than 8 bits, (H, W) or (H, W, C), as it is turned."""
    values = deep_values(image, file.data if isinstance(file, Encoded) else file)
    if image.format != "PNG" or values.ndim == 2:
        return values  # Pillow decoded it, and has turned it
    turn = {2: "lr", 3: "rr", 4: "ud", 5: "t", 6: "tlr", 7: "trr", 8: "tud"}
    return _turned(values, turn.get(image.info.get("turned", 1), ""))


def _turned(values: Array, steps: str) -> Array:
    """Transposed (t), then mirrored left to right (lr), top to bottom (ud) or both (rr)."""
    values = values.swapaxes(0, 1) if steps.startswith("t") else values
    rows, columns = steps[-2:] in ("ud", "rr"), steps[-2:] in ("lr", "rr")
    return values[:: -1 if rows else 1, :: -1 if columns else 1]


def rgb(image: Image.Image, file: Path | Encoded, value_range: ValueRange | None) -> Array:
    """An opened image as uint8 RGB, (H, W, 3)."""
    if image.mode == "LAB" or (image.mode == "F" and value_range is None):
        keys = "; or set value_range to [black, white]" if image.mode == "F" else ""
        raise UserError(
            f"{file} is an image of mode {image.mode}: save it as grey or RGB, 8 or 16 bits{keys}"
        )
    if is_deep(image):
        values = deep(image, file)
        if value_range is None and values.size and not 0 <= values.min() <= values.max() <= FULL[1]:
            raise UserError(
                f"{file} has values from {values.min()} to {values.max()}, beyond 16 bits: set "
                "value_range to [black, white]"
            )
        values = to_bytes(values, value_range or FULL)
        if values.ndim == 3:
            return values[..., [0, 1, 2] if values.shape[2] > 2 else [0, 0, 0]]
        return np.repeat(values[..., None], 3, axis=2)
    if image.mode == "P":
        image = image.convert("RGBA")  # the way past Pillow's complaint about transparency
    if image.mode == "RGB":
        return np.array(image)
    pixels = np.empty((image.height, image.width, 3), dtype=np.uint8)
    for top in range(0, image.height, _ROWS):  # Pillow takes four bytes a pixel
        part = image.crop((0, top, image.width, min(top + _ROWS, image.height)))
        pixels[top : top + _ROWS] = np.asarray(part.convert("RGB"))
    return pixels
