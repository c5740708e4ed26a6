"""Folder: layouts, image and label formats, classes, and one clear line for each bad input."""

from __future__ import annotations

import os
import shutil
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from bpkd.datasets.colours import spaced_palette
from bpkd.datasets.folder import Folder
from bpkd.datasets.image_files import image_files
from bpkd.datasets.labels import LabelReader
from bpkd.datasets.unpaired import collecting_unpaired
from bpkd.errors import UserError

CLASSES = ["road", "car", "tree"]
PALETTE = [(128, 64, 128), (0, 0, 142), (107, 142, 35)]


def save(file: Path, values: Any, mode: str | None = None, **options: Any) -> None:
    """values: an image, or numbers that make one."""
    file.parent.mkdir(parents=True, exist_ok=True)
    image = values if isinstance(values, Image.Image) else Image.fromarray(np.array(values))
    (image.convert(mode) if mode else image).save(file, **options)


def pair(root: Path, stem: str = "a", labels: Any = None, split: str = "train") -> Path:
    """A 3x2 image with its label map; the label map's file."""
    save(root / f"images/{split}/{stem}.png", np.zeros((2, 3, 3), np.uint8))
    file = root / f"labels/{split}/{stem}.png"
    save(file, np.array([[0, 1, 2], [255, 1, 0]], np.uint8) if labels is None else labels)
    return file


def folder(root: Path, **arguments: Any) -> Folder:
    return Folder(root, **{"split": "train", "classes": CLASSES, **arguments})


def message(root: Path, read: bool = False, **arguments: Any) -> str:
    """The one line that a faulty data set is met with, at construction or when it is read."""
    if read:
        data = folder(root, **arguments)
        with pytest.raises(UserError) as caught:
            data[0]
    else:
        with pytest.raises(UserError) as caught:
            folder(root, **arguments)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_an_item_is_an_rgb_image_and_its_labels(tmp_path: Path) -> None:
    pair(tmp_path)
    colours = np.arange(18, dtype=np.uint8).reshape(2, 3, 3)
    save(tmp_path / "images/train/a.png", colours)
    data = folder(tmp_path)
    image, labels = data[0]
    assert len(data) == 1
    assert image.dtype == labels.dtype == torch.uint8
    assert image.permute(1, 2, 0).tolist() == colours.tolist()
    assert labels.tolist() == [[0, 1, 2], [255, 1, 0]]
    assert (data.classes, data.ignore_index, data.name(0)) == (CLASSES, 255, "a")
    assert data.palette == spaced_palette(3)


# Layout -------------------------------------------------------------------------------------------


def test_pairs_are_matched_by_relative_stem_in_the_order_of_their_names(tmp_path: Path) -> None:
    for stem, label in (("b/x", 1), ("a/y", 2), ("z", 0)):
        pair(tmp_path, stem, np.full((2, 3), label, np.uint8))
    save(tmp_path / "labels/train/unused.png", np.zeros((1, 1), np.uint8))
    (tmp_path / "images/train/._z.png").write_bytes(b"written by macOS")
    (tmp_path / "images/train/notes.txt").write_text("no image")
    data = folder(tmp_path)
    assert [data.name(i) for i in range(len(data))] == ["y", "x", "z"]
    assert [int(labels[0, 0]) for _, labels in (data[0], data[1], data[2])] == [2, 1, 0]


def test_equal_stems_get_names_that_differ(tmp_path: Path) -> None:
    for stem in ("a/x", "b/x"):
        pair(tmp_path, stem)
    data = folder(tmp_path)
    assert [data.name(0), data.name(1)] == ["a--x", "b--x"]


def test_splits_add_up(tmp_path: Path) -> None:
    pair(tmp_path, "p", split="train")
    pair(tmp_path, "q", split="val")
    assert [folder(tmp_path, split="val+train").name(i) for i in (0, 1)] == ["q", "p"]
    # A layout without {split} is read once, not once a part.
    flat = folder(tmp_path, split="a+b", images="images/val", labels="labels/val")
    assert len(flat) == 1


def test_suffixes_as_in_cityscapes(tmp_path: Path) -> None:
    save(tmp_path / "left/train/aachen/1_left.png", np.zeros((1, 1, 3), np.uint8))
    for kind, value in (("ids", 2), ("colour", 9)):
        save(tmp_path / f"fine/train/aachen/1_{kind}.png", np.full((1, 1), value, np.uint8))
    data = folder(
        tmp_path,
        images="left/{split}",
        labels="fine/{split}",
        image_suffix="_left",
        label_suffix="_ids",
    )
    assert data[0][1].item() == 2
    assert data.name(0) == "1_left"


def test_lists_of_stems(tmp_path: Path) -> None:
    for stem in ("a", "b/c", "d e", "left out"):
        pair(tmp_path, stem, split="all")
    (tmp_path / "lists").mkdir()
    (tmp_path / "lists/train.txt").write_text("d e\n\nb/c\n")
    (tmp_path / "lists/val.txt").write_text("a.png\r\nb/c\r\n")
    layout = {"images": "images/all", "labels": "labels/all", "list": "lists/{split}.txt"}
    data = folder(tmp_path, split="train+val", **layout)
    assert [data.name(i) for i in range(len(data))] == ["d e", "c", "a"]  # what both have, once
    (tmp_path / "lists/val.txt").write_text("a\nx\ny\n")
    text = message(tmp_path, split="val", **layout)
    assert "lists/val.txt names 'x'" in text
    assert "2 of 3" in text
    assert "lists/test.txt is no list of a split" in message(tmp_path, split="test", **layout)


def test_lists_of_pairs(tmp_path: Path) -> None:
    save(tmp_path / "x/1.jpg", np.zeros((1, 1, 3), np.uint8))
    save(tmp_path / "y/one.png", np.full((1, 1), 2, np.uint8))
    listing = tmp_path / "train.txt"
    listing.write_text("/x/1.jpg /y/one.png\n")
    data = folder(tmp_path, list="{split}.txt")
    assert data[0][1].item() == 2
    assert data.name(0) == "1"
    listing.write_text("x/1.jpg y/one.png\nx/2.jpg y/one.png\n")
    assert "x/2.jpg, which does not exist" in message(tmp_path, list="{split}.txt")
    listing.write_text("x/1.jpg y/two.png\n")
    assert "y/two.png (1 of 1" in message(tmp_path, list="{split}.txt")
    listing.write_text("x/1.jpg y/one.png\nstem\n")
    assert "'stem' is no pair" in message(tmp_path, list="{split}.txt")


def test_the_first_folder_of_labels_that_has_an_image_counts(tmp_path: Path) -> None:
    for stem in "ab":
        pair(tmp_path, stem, np.full((2, 3), 1, np.uint8))
    save(tmp_path / "better/b.png", np.full((2, 3), 2, np.uint8))
    data = folder(tmp_path, labels=["better", "labels/{split}"])
    assert [int(data[i][1][0, 0]) for i in (0, 1)] == [1, 2]


# Images -------------------------------------------------------------------------------------------

RED = np.array([[[200, 10, 20]]], np.uint8)


@pytest.mark.parametrize(
    ("stored", "expected"),
    [
        (Image.fromarray(np.array([[[200, 10, 20, 0]]], np.uint8)), [200, 10, 20]),  # RGBA
        (Image.fromarray(np.array([[77]], np.uint8)), [77, 77, 77]),
        (Image.fromarray(np.array([[257 * 77]], np.uint16)), [77, 77, 77]),  # 16-bit grey
        (Image.fromarray(RED).convert("P", palette=Image.Palette.ADAPTIVE), [200, 10, 20]),
        (Image.fromarray(np.array([[True]])), [255, 255, 255]),  # 1-bit
    ],
    ids=["RGBA", "L", "I;16", "P", "1"],
)
def test_any_image_becomes_rgb(tmp_path: Path, stored: Image.Image, expected: list[int]) -> None:
    save(tmp_path / "images/train/a.png", stored)
    save(tmp_path / "labels/train/a.png", np.zeros((1, 1), np.uint8))
    image, _ = folder(tmp_path)[0]
    assert image.dtype == torch.uint8
    assert image.flatten().tolist() == expected


def test_cmyk_jpeg(tmp_path: Path) -> None:
    save(tmp_path / "images/train/a.jpg", RED.repeat(8, 0).repeat(8, 1), mode="CMYK", quality=95)
    save(tmp_path / "labels/train/a.png", np.zeros((8, 8), np.uint8))
    image, _ = folder(tmp_path)[0]
    assert (image[:, 4, 4].int() - torch.tensor([200, 10, 20])).abs().max() < 8


def test_exif_rotation_is_applied(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera stood on its side: turn clockwise
    stored = np.zeros((1, 2, 3), np.uint8)
    stored[0, 1] = 255
    save(tmp_path / "images/train/a.png", stored, exif=exif)
    save(tmp_path / "labels/train/a.png", np.zeros((2, 1), np.uint8))
    image, labels = folder(tmp_path)[0]
    assert image[0].tolist() == [[0], [255]]
    assert labels.shape == (2, 1)


# Label maps ---------------------------------------------------------------------------------------


def test_palette_png_gives_the_index(tmp_path: Path) -> None:
    stored = Image.fromarray(np.array([[0, 1, 2], [255, 2, 2]], np.uint8))
    stored.putpalette([c for colour in spaced_palette(256) for c in colour])
    assert stored.mode == "P"
    pair(tmp_path, labels=stored)
    assert folder(tmp_path)[0][1].tolist() == [[0, 1, 2], [255, 2, 2]]


# Rows of pixels as bits: a row of 3 pixels fills 1 byte in 1 and 2 bits, 2 bytes in 4 bits.
PACKED = {
    1: [0b010_00000, 0b110_00000],
    2: [0b00_01_10_00, 0b10_01_00_00],
    4: [0x01, 0x20, 0x21, 0x00],
}


@pytest.mark.parametrize("colour_type", [0, 3], ids=["grey", "palette"])
@pytest.mark.parametrize("bits", [1, 2, 4])
def test_label_maps_of_few_bits_hold_indices(tmp_path: Path, bits: int, colour_type: int) -> None:
    file = pair(tmp_path)
    rows = np.array(PACKED[bits], np.uint8).reshape(2, -1)
    data = b"".join(b"\0" + row.tobytes() for row in rows)
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", 3, 2, bits, colour_type, 0, 0, 0))]
    if colour_type == 3:
        chunks.append((b"PLTE", bytes(range(3 * 2**bits))))
    chunks += [(b"IDAT", zlib.compress(data)), (b"IEND", b"")]
    file.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + b"".join(
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
            for kind, body in chunks
        )
    )
    expected = [[0, 1, 0], [1, 1, 0]] if bits == 1 else [[0, 1, 2], [2, 1, 0]]
    assert folder(tmp_path)[0][1].tolist() == expected


def test_16_bit_label_maps_and_many_classes(tmp_path: Path) -> None:
    pair(tmp_path, labels=np.array([[0, 299, 300], [65535, 255, 256]], np.uint16))
    names = [f"class {i}" for i in range(301)]
    labels = folder(tmp_path, classes=names, ignore_index=65535)[0][1]
    assert labels.dtype == torch.int32
    assert labels.tolist() == [[0, 299, 300], [65535, 255, 256]]


def test_a_negative_ignore_index(tmp_path: Path) -> None:
    pair(tmp_path)
    labels = folder(tmp_path, ignore_index=-1, ignore=[255])[0][1]
    assert labels.tolist() == [[0, 1, 2], [-1, 1, 0]]


def test_ignore_and_label_map(tmp_path: Path) -> None:
    pair(tmp_path, labels=np.array([[0, 7, 8], [11, 12, 255]], np.uint8))
    labels = folder(tmp_path, ignore=[11, 12], label_map={0: 2, 7: 0, 8: 1})[0][1]
    assert labels.tolist() == [[2, 0, 1], [255, 255, 255]]


def test_rgb_label_maps(tmp_path: Path) -> None:
    black = (0, 0, 0)
    stored = [[*PALETTE], [black, PALETTE[1], PALETTE[0]]]
    pair(tmp_path, labels=np.array(stored, np.uint8))
    data = folder(tmp_path, palette=PALETTE, ignore=[black])
    assert data[0][1].tolist() == [[0, 1, 2], [255, 1, 0]]
    assert data.palette == PALETTE


# Classes ------------------------------------------------------------------------------------------


def test_classes_from_csv_and_yaml(tmp_path: Path) -> None:
    pair(tmp_path)
    rows = [f"{name},{r},{g},{b}" for name, (r, g, b) in zip(CLASSES, PALETTE, strict=True)]
    (tmp_path / "classes.csv").write_text("\n".join(["name, r, g, b", *rows]), "utf-8-sig")
    (tmp_path / "other.yaml").write_text(
        "[{name: x, color: [1, 2, 3]}, {name: y, color: [4, 5, 6]}, {name: z, color: [7, 8, 9]}]"
    )
    (tmp_path / "names.yaml").write_text("[x, y, z]")
    (tmp_path / "id2label.json").write_text('{"2": "z", "0": "x", "1": "y"}')
    found = Folder(tmp_path, split="train")
    assert (found.classes, found.palette) == (CLASSES, PALETTE)
    other = folder(tmp_path, classes="other.yaml")
    assert (other.classes, other.palette[2]) == (["x", "y", "z"], (7, 8, 9))
    assert folder(tmp_path, classes="names.yaml").palette == spaced_palette(3)
    assert folder(tmp_path, classes="id2label.json").classes == ["x", "y", "z"]
    assert folder(tmp_path, classes=str(tmp_path / "other.yaml")).classes == ["x", "y", "z"]


def test_spaced_palette_is_spaced() -> None:
    colours = np.array(spaced_palette(24))
    distance = np.abs(colours[:, None] - colours).sum(-1) + 1000 * np.eye(24)
    assert distance.min() > 30
    assert len(set(spaced_palette(200))) == 200
    assert spaced_palette(24)[:5] == spaced_palette(5)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"classes": None}, ["classes.csv", "name,r,g,b"]),
        ({"classes": []}, ["lists no classes"]),
        ({"classes": "none.csv"}, ["none.csv", "does not exist"]),
        ({"classes": ["a", "b", "a"]}, ["'a'"]),
        ({"classes": [{"name": "a", "color": [1, 2]}]}, ["[1, 2]", "[r, g, b]"]),
        ({"classes": {"1": "a", "2": "b"}}, ["1, 2", "0 to 1"]),
        ({"palette": PALETTE[:2]}, ["2 colours", "3 classes"]),
        ({"palette": [*PALETTE[:2], (0, 0, 256)]}, ["256"]),
        ({"label_map": {7: 3}}, ["7", "3", "0 to 2"]),
        ({"label_map": {"x": 3}}, ["label_map", "'x'"]),
        ({"ignore": [70000]}, ["70000"]),
        ({"ignore": ["12"]}, ["ignore", "'12'"]),
        ({"split": "train+"}, ["'train+'"]),
    ],
)
def test_faulty_arguments(tmp_path: Path, arguments: dict[str, Any], words: list[str]) -> None:
    pair(tmp_path)
    text = message(tmp_path, **arguments)
    assert all(word in text for word in words), text


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("classes.csv", "class;r;g;b\nroad;1;2;3", ["class;r;g;b", "name,r,g,b"]),
        ("classes.csv", "name,r,g,b\nroad,1,2,x", ["'x'"]),
        ("classes.yaml", "- {name: [", ["cannot be read"]),
        ("classes.yaml", "road", ["lists no classes"]),
    ],
)
def test_faulty_classes_files(tmp_path: Path, name: str, text: str, words: list[str]) -> None:
    pair(tmp_path)
    (tmp_path / name).write_text(text)
    line = message(tmp_path, classes=None)
    assert name in line
    assert all(word in line for word in words), line


# Faulty files -------------------------------------------------------------------------------------


def test_missing_folders(tmp_path: Path) -> None:
    assert "nowhere is no folder" in message(tmp_path / "nowhere")
    text = message(tmp_path)
    assert str(tmp_path / "images/train") in text
    assert "labels/train/NAME.png" in text and "{split}" not in text
    (tmp_path / "images/train").mkdir(parents=True)
    assert str(tmp_path / "labels/train") in message(tmp_path)
    (tmp_path / "labels/train").mkdir(parents=True)
    assert "'train' has no images" in message(tmp_path)


def test_images_without_a_label_map(tmp_path: Path) -> None:
    for stem in "abcd":
        file = pair(tmp_path, stem)
        if stem in "bd":
            file.unlink()
    text = message(tmp_path)
    assert "b.png" in text
    assert "2 of 4 images" in text


def test_collecting_what_is_unpaired(tmp_path: Path) -> None:
    for stem in "abc":
        file = pair(tmp_path, stem)
        if stem != "b":
            file.unlink()
    (tmp_path / "labels/train/d.png").touch()
    with collecting_unpaired() as unpaired:
        data = folder(tmp_path)
    names = [(a.name, b.relative_to(tmp_path).as_posix()) for a, b in unpaired.images]
    expected = (tmp_path / "labels/train/d.png", tmp_path / "images/train/d.jpg")
    assert unpaired.labels == [expected]
    assert names == [("a.png", "labels/train/a.png"), ("c.png", "labels/train/c.png")]
    assert [data.name(i) for i in range(len(data))] == ["b"]
    (tmp_path / "labels/train/b.png").unlink()
    with collecting_unpaired() as unpaired:
        assert len(folder(tmp_path)) == 0
    assert len(unpaired.images) == 3
    (tmp_path / "train.txt").write_text("a")
    with collecting_unpaired() as unpaired:
        folder(tmp_path, list="{split}.txt")
    assert not unpaired.labels  # a list leaves the rest of the files to other splits
    assert "3 of 3 images" in message(tmp_path)  # outside, an error as before


def test_two_images_of_one_name(tmp_path: Path) -> None:
    pair(tmp_path)
    save(tmp_path / "images/train/a.jpg", RED)
    text = message(tmp_path)
    assert "a.jpg" in text
    assert "a.png" in text
    with collecting_unpaired() as unpaired:
        assert len(folder(tmp_path)) == 1
    assert [name for name, _ in unpaired.others] == ["a"]
    assert "a.jpg and" in unpaired.others[0][1] and "a.png bear one name" in unpaired.others[0][1]


def test_collecting_what_a_list_names_and_is_not_there(tmp_path: Path) -> None:
    pair(tmp_path)
    (tmp_path / "train.txt").write_text("x\na\nimages/y.png\n")
    with collecting_unpaired() as unpaired:
        assert len(folder(tmp_path, list="{split}.txt")) == 1
    assert [name for name, _ in unpaired.others] == ["x", "images/y"]
    assert "train.txt names 'x', which is no image in" in unpaired.others[0][1]
    good = "images/train/a.png labels/train/a.png"
    (tmp_path / "train.txt").write_text(f"{good}\nimages/train/z.png labels/train/a.png\nalone\n")
    with collecting_unpaired() as unpaired:
        assert len(folder(tmp_path, list="{split}.txt")) == 1
    assert "z.png, which does not exist" in unpaired.others[0][1]
    assert "'alone' is no pair of files" in unpaired.others[1][1]


def test_hidden_folders_are_passed_over(tmp_path: Path) -> None:
    pair(tmp_path)
    for part in ("images", "labels"):
        save(tmp_path / part / "train/.ipynb_checkpoints/b.png", np.zeros((2, 3), np.uint8))
        save(tmp_path / part / "train/b/.AppleDouble/c.png", np.zeros((2, 3), np.uint8))
    data = folder(tmp_path)
    assert [data.name(i) for i in range(len(data))] == ["a"]


def test_links_that_lead_back_up_are_no_folders(tmp_path: Path) -> None:
    pair(tmp_path)
    (tmp_path / "images/train/again").symlink_to("../train")
    (tmp_path / "images/train/up").symlink_to(tmp_path)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "images/train/more").symlink_to(tmp_path / "elsewhere")
    assert len(folder(tmp_path)) == 1
    assert len(list(image_files(tmp_path / "images"))) == 1
    shutil.copy(next(image_files(tmp_path / "images")), tmp_path / "elsewhere/b.png")
    assert len(list(image_files(tmp_path / "images"))) == 2


def test_a_folder_that_cannot_be_read_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its images would be missing without a word."""
    pair(tmp_path)
    (tmp_path / "images/train/more").mkdir()
    look_into = os.scandir

    def refusing(place: Any) -> Any:
        if Path(place).name == "more":
            raise PermissionError(13, "Permission denied", str(place))
        return look_into(place)

    monkeypatch.setattr(os, "scandir", refusing)
    assert message(tmp_path) == f"{tmp_path}/images/train/more: cannot be read: Permission denied"


def test_a_root_one_level_too_high_or_too_low(tmp_path: Path) -> None:
    inner = tmp_path / "photos"
    pair(inner)
    for root in (tmp_path, inner / "images", inner / "nowhere"):
        assert message(root).endswith(f"did you mean data.root={inner}?")
    assert "did you mean" not in message(inner, split="val")
    (inner / "train.txt").write_text("a\n")
    listed = {"images": "images/train", "labels": "labels/train", "list": "{split}.txt"}
    assert f"data.root={inner}?" in message(tmp_path, **listed)
    assert "did you mean" not in message(tmp_path, split="val", **listed)


def test_sizes_that_differ(tmp_path: Path) -> None:
    pair(tmp_path, labels=np.zeros((2, 4), np.uint8))
    text = message(tmp_path, read=True)
    assert "images/train/a.png is 3x2" in text
    assert "labels/train/a.png is 4x2" in text


def test_values_that_are_no_class(tmp_path: Path) -> None:
    file = pair(tmp_path, labels=np.array([[3, 9, 9], [0, 1, 9]], np.uint8))
    text = message(tmp_path, read=True)
    assert str(file) in text
    assert "value 9 (3 pixels) and 1 more such" in text
    assert "0 to 2" in text


def test_colours_that_are_no_class(tmp_path: Path) -> None:
    file = pair(tmp_path, labels=np.array([[PALETTE[0], (1, 2, 3), (1, 2, 3)]] * 2, np.uint8))
    text = message(tmp_path, read=True, palette=PALETTE)
    assert str(file) in text
    assert "(1, 2, 3) (4 pixels)" in text
    assert "no colours" in message(tmp_path, read=True)
    assert "share a colour" in message(tmp_path, read=True, palette=[PALETTE[0]] * 3)


@pytest.mark.parametrize("ending", ["jpg", "png", "tif"])
@pytest.mark.parametrize("part", ["images", "labels"])
def test_damaged_files(tmp_path: Path, part: str, ending: str) -> None:
    pair(tmp_path)
    (tmp_path / part / "train/a.png").unlink()
    file = tmp_path / part / f"train/a.{ending}"
    save(file, np.random.default_rng(0).integers(0, 3, (64, 64), np.uint8))
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    text = message(tmp_path, read=True)
    assert str(file) in text
    assert "cannot be read" in text
    file.write_bytes(b"")
    assert "cannot be read" in message(tmp_path, read=True)


@pytest.mark.parametrize("ending", ["jpg", "png"])
def test_a_jpeg_is_no_label_map(tmp_path: Path, ending: str) -> None:
    pair(tmp_path).unlink()
    file = tmp_path / f"labels/train/a.{ending}"
    # Every value is a class: a decoder's blur would pass for labels.
    save(file, np.zeros((2, 3), np.uint8), format="JPEG")
    assert message(tmp_path, read=True).startswith(f"{file} is a JPEG, which blurs label values")


def test_modes_that_make_no_sense(tmp_path: Path) -> None:
    file = tmp_path / "labels/train/a.tif"
    pair(tmp_path).unlink()
    save(file, np.full((2, 3), 0.5, np.float32))
    assert "holds 0.5 (6 pixels are no whole numbers)" in message(tmp_path, read=True)
    save(file, np.full((2, 3), 70000, np.int32))
    assert "beyond 16 bits" in message(tmp_path, read=True)
    (tmp_path / "images/train/a.png").unlink()
    save(tmp_path / "images/train/a.tif", np.zeros((2, 3), np.float32))
    assert "mode F" in message(tmp_path, read=True)


def test_bytes_mean_what_the_table_says() -> None:
    reader = LabelReader(19, 255, [40], {value: value % 19 for value in range(34)}, None)
    values = np.array([*range(34), 40, 255], dtype=np.uint8)[:, None].repeat(3, axis=1)
    found = reader.from_values(values, "a.png")
    expected = reader.from_values(values.astype(np.uint16), "a.png")  # by the table itself
    assert found.dtype == expected.dtype == np.uint8
    assert found.flags.writeable
    assert (found == expected).all()
    assert found[:, 0].tolist() == [*range(19), *range(15), 255, 255]
    for wrong in (values + 50, values[::-1] // 2 + 100):
        with pytest.raises(UserError, match="holds the label value"):
            reader.from_values(wrong, "a.png")
