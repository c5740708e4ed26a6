"""Images of more than 8 bits, of any size, and turned by EXIF: what comes out as uint8 RGB."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from bpkd.datasets.folder import Folder
from bpkd.datasets.images import MAX_PIXELS, Reading, read_image
from bpkd.errors import UserError

GREY = np.random.default_rng(0).integers(0, 256, (4, 6)).astype(np.uint8)
GREY[0, 0], GREY[3, 5] = 0, 255
COLOUR = np.dstack([GREY, GREY.T.reshape(4, 6), 255 - GREY])
RGB, RGBA, GREY_ALPHA = 2, 6, 4  # PNG's colour types


def png16(file: Path, values: Any, colour_type: int) -> None:
    """values (H, W, C) as PNG of 16 bits a channel, which Pillow cannot write."""
    height, width = values.shape[:2]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    header = struct.pack(">IIBBBBB", width, height, 16, colour_type, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + b"".join(
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
            for kind, body in chunks
        )
    )


def tiff16(file: Path, values: Any) -> None:
    """values (H, W, 3) as uncompressed TIFF of 16 bits a channel, little-endian."""
    height, width = values.shape[:2]
    pixels = values.astype("<u2").tobytes()
    entries = [
        (256, 4, 1, width), (257, 4, 1, height), (258, 3, 3, 8 + 2 + 10 * 12 + 4),
        (259, 3, 1, 1), (262, 3, 1, 2), (273, 4, 1, 8 + 2 + 10 * 12 + 4 + 6), (277, 3, 1, 3),
        (278, 4, 1, height), (279, 4, 1, len(pixels)), (284, 3, 1, 1),
    ]  # fmt: skip
    directory = b"".join(struct.pack("<HHII", *entry) for entry in entries)
    head = struct.pack("<2sHIH", b"II", 42, 8, len(entries)) + directory + bytes(4)
    file.write_bytes(head + struct.pack("<HHH", 16, 16, 16) + pixels)


def shown(file: Path, reading: Reading | None = None) -> Any:
    return read_image(file, reading or Reading()).permute(1, 2, 0).numpy()


def data(root: Path, write: Any, **arguments: Any) -> Folder:
    """Three images and label maps of one class; the images are written by the function."""
    for index in range(3):
        for part in ("images", "labels"):
            (root / part / "train").mkdir(parents=True, exist_ok=True)
        write(root / f"images/train/{index}", index)
        Image.fromarray(np.zeros((4, 6), np.uint8)).save(root / f"labels/train/{index}.png")
    return Folder(root, split="train", classes=["road", "car"], **arguments)


@pytest.mark.parametrize("bits", [8, 10, 12, 14])
@pytest.mark.parametrize("ending", ["png", "tif"])
def test_grey_of_fewer_bits_than_its_file(tmp_path: Path, bits: int, ending: str) -> None:
    values = GREY.astype(np.uint16) << (bits - 8)
    found = data(tmp_path, lambda file, _: Image.fromarray(values).save(f"{file}.{ending}"))
    assert found.reading.value_range == (0, 2**bits - 1) and found.reading.measured
    for channel in found[0][0].numpy():
        assert (channel == GREY).all()


def test_all_16_bits_are_divided_by_257(tmp_path: Path) -> None:
    values = GREY.astype(np.uint16) * 257
    found = data(tmp_path, lambda file, _: Image.fromarray(values).save(f"{file}.png"))
    assert found.reading.value_range == (0, 65535)
    assert (found[0][0][1].numpy() == GREY).all()


def test_32_bit_grey_of_0_to_255_comes_unchanged(tmp_path: Path) -> None:
    values = GREY.astype(np.int32)
    found = data(tmp_path, lambda file, _: Image.fromarray(values).save(f"{file}.tif"))
    assert (found[0][0][2].numpy() == GREY).all()


def test_one_range_for_all_images(tmp_path: Path) -> None:
    def write(file: Path, index: int) -> None:
        Image.fromarray(GREY.astype(np.uint16) << (4 if index == 2 else 0)).save(f"{file}.png")

    found = data(tmp_path, write)
    assert [int(found[index][0].max()) for index in range(3)] == [15, 15, 255]  # dark stays dark


@pytest.mark.parametrize("kind", [RGB, RGBA])
def test_png_of_16_bits_a_channel(tmp_path: Path, kind: int) -> None:
    alpha = np.full((4, 6, 1), 65535, np.uint16)
    values = np.concatenate([COLOUR.astype(np.uint16) << 4] + [alpha] * (kind == RGBA), axis=2)
    found = data(tmp_path, lambda file, _: png16(Path(f"{file}.png"), values, kind))
    assert found.reading.value_range == (0, 4095)
    assert (found[0][0].permute(1, 2, 0).numpy() == COLOUR).all()


def test_tiff_of_16_bits_a_channel(tmp_path: Path) -> None:
    values = COLOUR.astype(np.uint16) << 4
    found = data(tmp_path, lambda file, _: tiff16(Path(f"{file}.tif"), values))
    assert (found[0][0].permute(1, 2, 0).numpy() == COLOUR).all()


def test_a_range_that_is_given(tmp_path: Path) -> None:
    file = tmp_path / "a.tif"
    Image.fromarray(np.array([[-2000, -1000, 500, 2000, 9000]], np.int32)).save(file)
    assert shown(file, Reading((-1000, 2000)))[0, :, 0].tolist() == [0, 0, 127, 255, 255]
    with pytest.raises(UserError, match=r"from -2000 to 9000, beyond 16 bits: set value_range"):
        shown(file)
    Image.fromarray(np.array([[0.0, 0.5, 1.0, np.nan]], np.float32)).save(file)
    assert shown(file, Reading((0, 1)))[0, :, 1].tolist() == [0, 127, 255, 0]
    with pytest.raises(UserError, match=r"mode F: .* set value_range"):
        shown(file)
    with pytest.raises(UserError, match="black below white"):
        Reading((5, 5))


def test_label_maps_of_16_bits_with_alpha(tmp_path: Path) -> None:
    found = data(tmp_path, lambda file, _: Image.fromarray(COLOUR).save(f"{file}.png"))
    labels = (GREY % 2).astype(np.uint16)
    png16(tmp_path / "labels/train/0.png", np.dstack([labels, labels * 0 + 65535]), GREY_ALPHA)
    assert (found[0][1].numpy() == labels).all()


def test_a_limit_that_is_a_key(tmp_path: Path) -> None:
    found = data(
        tmp_path, lambda file, _: Image.fromarray(COLOUR).save(f"{file}.png"), max_pixels=23
    )
    with pytest.raises(UserError, match=r"6x4 pixels, more than max_pixels 23: .* to 24 or more"):
        found[0]
    assert data(tmp_path, lambda file, _: None, max_pixels=24)[0][0].shape == (3, 4, 6)
    large = tmp_path / "large.png"  # twice what Pillow refuses, a bit a pixel
    Image.new("1", (14_000, 13_000)).save(large)
    assert MAX_PIXELS > 14_000 * 13_000 > 2 * Image.MAX_IMAGE_PIXELS
    assert read_image(large).shape == (3, 13_000, 14_000)
    Image.new("1", (30_000, 30_000)).save(large)
    with pytest.raises(UserError, match="max_pixels 268,435,456"):
        read_image(large)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_turns_colours_of_16_bits_as_it_does_those_of_8(
    tmp_path: Path, orientation: int
) -> None:
    turned = Image.Exif()
    turned[0x0112] = orientation
    Image.fromarray(COLOUR).save(tmp_path / "8.png", exif=turned)
    png16(tmp_path / "16.png", COLOUR.astype(np.uint16) * 257, RGB)
    body = turned.tobytes().removeprefix(b"Exif\0\0")
    chunk = struct.pack(">I", len(body)) + b"eXIf" + body
    chunk += struct.pack(">I", zlib.crc32(b"eXIf" + body))
    stored = (tmp_path / "16.png").read_bytes()
    (tmp_path / "16.png").write_bytes(stored[:33] + chunk + stored[33:])
    assert (shown(tmp_path / "16.png") == shown(tmp_path / "8.png")).all()


def test_photos_that_exif_turns_and_label_maps_that_lie(tmp_path: Path) -> None:
    turned = Image.Exif()
    turned[0x0112] = 6
    write: Any = lambda file, _: Image.fromarray(COLOUR).save(f"{file}.png", exif=turned)  # noqa: E731
    with pytest.raises(UserError, match=r"is 4x6 .* is 6x4 .* set upright: false"):
        data(tmp_path, write)[0]
    image, labels = data(tmp_path, write, upright=False)[0]
    assert (image.permute(1, 2, 0).numpy() == COLOUR).all() and labels.shape == (4, 6)
    turned[0x0112] = 3
    assert data(tmp_path, write).turned(0) and not data(tmp_path, write, upright=False).turned(0)


def test_cmyk_and_alpha(tmp_path: Path) -> None:
    Image.fromarray(COLOUR).convert("CMYK").save(tmp_path / "a.tif")
    assert (shown(tmp_path / "a.tif") == COLOUR).all()
    Image.fromarray(np.dstack([COLOUR, GREY])).save(tmp_path / "a.png")
    assert (shown(tmp_path / "a.png") == COLOUR).all()
