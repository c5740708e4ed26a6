"""Images of more than 8 bits a channel: their values as the file has them, brought to 8 bits."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image, ImageOps
from torchvision.io import ImageReadMode, decode_image

Array: TypeAlias = npt.NDArray[Any]
#: Values of black and of white.
ValueRange: TypeAlias = tuple[float, float]

FULL: ValueRange = (0, 2**16 - 1)
_BITS = (8, 10, 12, 14, 16)
# Pillow keeps the upper byte alone of these: which byte that is, is told by the last letter.
_OTHER_BYTE = {"B": "L", "L": "B", "N": "B" if np.little_endian else "L"}


def is_deep(image: Image.Image) -> bool:
    """Whether a channel of an opened image's file has more than 8 bits."""
    return image.mode.startswith("I") or image.mode == "F" or _cut(image)


def _cut(image: Image.Image) -> bool:
    """Whether Pillow gives 8 of a file's 16 bits: of colours, and of grey with alpha."""
    return image.mode in ("RGB", "RGBA", "RGBX", "LA") and ";16" in str(image.info.get("rawmode"))


def deep_values(image: Image.Image, source: bytes | Path) -> Array:
    """The values of a deep image as its file has them: (H, W), or (H, W, C) with 2 to 4 channels.

    Args:
        image: as :func:`bpkd.datasets.images.open_image` opened it.
        source: its file, for what Pillow cuts off.
    """
    if not _cut(image):
        return np.asarray(image)
    if image.format == "PNG":
        data = source if isinstance(source, bytes) else source.read_bytes()
        encoded = torch.frombuffer(bytearray(data), dtype=torch.uint8)
        values: Array = decode_image(encoded, mode=ImageReadMode.UNCHANGED).numpy()
        return np.moveaxis(values, 0, -1)
    with Image.open(BytesIO(source) if isinstance(source, bytes) else source) as other:
        # The same file unpacked in the other order of bytes has the lower ones.
        other.tile = [_other_byte(tile) for tile in other.tile]
        other.load()
        turned = ImageOps.exif_transpose(other) if image.info.get("turned", 1) != 1 else other
        upper: Array = np.asarray(image).astype(np.uint16)
        upper <<= 8
        upper |= np.asarray(turned)
        return upper


def _other_byte(tile: Any) -> Any:
    whole, arguments = isinstance(tile.args, str), tile.args
    mode = arguments if whole else arguments[0]
    mode = mode[:-1] + _OTHER_BYTE[mode[-1]]
    return tile._replace(args=mode if whole else (mode, *arguments[1:]))


def least_bits(greatest: float) -> ValueRange:
    """The range of the fewest bits, 8, 10, 12, 14 or 16, that holds a value.

    >>> least_bits(255), least_bits(4080), least_bits(40_000)
    ((0, 255), (0, 4095), (0, 65535))
    """
    return 0, next(2**bits - 1 for bits in _BITS if greatest < 2**bits)


def to_bytes(values: Array, value_range: ValueRange) -> Array:
    """Values as uint8: those up to black are 0, those from white on 255.

    Whole numbers lose their lowest bits; the full range of 16 bits is divided by 257, for that is
    what 8 bits are multiplied with.

    >>> to_bytes(np.array([-5, 16, 4080, 5000]), (0, 4095))
    array([  0,   1, 255, 255], dtype=uint8)
    >>> to_bytes(np.array([0.0, 0.5, 1.0]), (0, 1))
    array([  0, 127, 255], dtype=uint8)
    """
    black, white = value_range
    whole = values.dtype.kind != "f"
    clipped = np.clip(values.astype(np.int32) if whole else values, black, white)
    if not whole or black != int(black) or white != int(white):
        scaled = (np.nan_to_num(clipped, nan=black) - black) * (255 / (white - black))
    elif (black, white) == FULL:
        scaled = clipped // 257
    else:
        scaled = (clipped.astype(np.int64) - int(black)) * 256 // (int(white) - int(black) + 1)
    result: Array = scaled.astype(np.uint8)
    return result
