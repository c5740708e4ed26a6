"""Label maps as people have them, and what they are read as; the names of classes stay names."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bpkd.datasets.folder import Folder
from bpkd.errors import UserError
from bpkd.recipe.loading import load_recipe
from tests.pictures import save
from tests.runs import TINY

IMAGE = np.zeros((4, 6, 3), np.uint8)
INDICES = np.array([[0, 0, 1, 1, 2, 2]] * 4, np.uint8)
COLOURS = [(70, 130, 180), (128, 64, 128), (0, 0, 142)]
NAMES = ["sky", "road", "car"]
COLOURED = [{"name": n, "color": list(c)} for n, c in zip(NAMES, COLOURS, strict=True)]


# R05: palettes that hold the classes' colours under other indices ---------------------------------


def stored(order: Sequence[int], indices: np.ndarray = INDICES) -> Image.Image:
    """Classes as a palette image whose palette holds their colours in some order."""
    place = np.zeros(256, np.uint8)
    for index, one in enumerate(order):
        place[one] = index
    picture = Image.fromarray(place[indices])
    picture.putpalette([value for one in order for value in COLOURS[one]])
    return picture


def read(root: Path, label: Image.Image, classes: list, **options: object) -> list[list[int]]:
    save(root / "images/train/a.png", IMAGE)
    (root / "labels/train").mkdir(parents=True)
    label.save(root / "labels/train/a.png")
    return Folder(root, split="train", classes=classes, **options)[0][1].tolist()


@pytest.mark.parametrize("order", [[0, 1, 2], [2, 1, 0], [1, 2, 0]])
def test_a_palette_of_the_classes_colours_goes_by_colour(tmp_path: Path, order: list[int]) -> None:
    assert read(tmp_path, stored(order), COLOURED) == INDICES.tolist()


def test_a_palette_of_the_colours_that_a_picture_shows(tmp_path: Path) -> None:
    """Without sky, a program stores road as 0 and car as 1."""
    shown = np.where(INDICES == 0, 1, INDICES).astype(np.uint8)
    assert read(tmp_path, stored([1, 2], shown), COLOURED) == shown.tolist()
    picture = Image.fromarray(np.array(COLOURS, np.uint8)[INDICES])
    assert read(tmp_path / "q", picture.quantize(8), COLOURED) == INDICES.tolist()


def test_without_colours_a_palette_is_only_seen(tmp_path: Path) -> None:
    expected = [[2, 2, 1, 1, 0, 0]] * 4
    assert read(tmp_path, stored([2, 1, 0]), NAMES) == expected


def test_a_palette_of_other_colours_is_only_seen(tmp_path: Path) -> None:
    picture = Image.fromarray(np.where(INDICES == 2, 255, INDICES).astype(np.uint8))
    picture.putpalette([value for i in range(256) for value in (i, 255 - i, 9)])
    assert read(tmp_path, picture, COLOURED) == [[0, 0, 1, 1, 255, 255]] * 4


# R18: images and label maps in one folder ---------------------------------------------------------


@pytest.mark.parametrize(
    ("image", "label", "options"),
    [
        ("s{}.jpg", "s{}_mask.png", {"label_suffix": "_mask"}),
        ("i_{}.tif", "i_{}_masks.tif", {"label_suffix": "_masks"}),
        ("s{}.jpg", "s{}.png", {}),
        ("s{}_img.png", "s{}_mask.png", {"image_suffix": "_img", "label_suffix": "_mask"}),
    ],
)
def test_a_label_map_is_no_image(tmp_path: Path, image: str, label: str, options: dict) -> None:
    for index in range(2):
        save(tmp_path / "train" / image.format(index), IMAGE)
        save(tmp_path / "train" / label.format(index), INDICES)
    places = {"images": "{split}", "labels": "{split}"}
    data = Folder(tmp_path, split="train", classes=NAMES, **places, **options)
    assert len(data) == 2
    assert all(data[index][1].tolist() == INDICES.tolist() for index in range(2))


def test_the_classes_of_roboflow(tmp_path: Path) -> None:
    save(tmp_path / "train/s0.jpg", IMAGE)
    save(tmp_path / "train/s0_mask.png", INDICES)
    (tmp_path / "train/_classes.csv").write_text("Pixel Value, Class\n0, sky\n1, road\n2, car\n")
    places = {"images": "{split}", "labels": "{split}", "label_suffix": "_mask"}
    for given in ({}, {"classes": "train/_classes.csv"}):
        data = Folder(tmp_path, split="train", **places, **given)
        assert data.classes == NAMES and data[0][1].tolist() == INDICES.tolist()


def test_an_image_without_its_label_map_is_still_told(tmp_path: Path) -> None:
    for name in ("s0.jpg", "s1.jpg"):
        save(tmp_path / "train" / name, IMAGE)
    save(tmp_path / "train/s0_mask.png", INDICES)
    places = {"images": "{split}", "labels": "{split}", "label_suffix": "_mask"}
    with pytest.raises(UserError, match=r"s1\.jpg"):
        Folder(tmp_path, split="train", classes=NAMES, **places)


# R27: names that YAML takes for something else ----------------------------------------------------

ODD = ["no", "yes", "on", "off", "null", "~", "01", "02", "1e3", "0x1f", "12:30", "3.0"]


@pytest.mark.parametrize("form", ["list", "index", "entries", "override"])
def test_names_stay_text(tmp_path: Path, form: str) -> None:
    written = {
        "list": f"[{', '.join(ODD)}]",
        "index": f"{{{', '.join(f'{i}: {name}' for i, name in enumerate(ODD))}}}",
        "entries": f"[{', '.join(f'{{name: {name}}}' for name in ODD)}]",
    }.get(form, f"[{','.join(ODD)}]")
    file = tmp_path / "r.yaml"
    folder = "{use: bpkd.datasets.folder.Folder, root: .%s}"
    data = folder % ("" if form == "override" else f", classes: {written}")
    file.write_text(f"data: {data}\n{TINY[TINY.index('student:') :]}")
    overrides = [f"data.classes={written}"] if form == "override" else []
    given = load_recipe(file, overrides).data.arguments["classes"]
    values = list(given.values()) if isinstance(given, dict) else given
    assert [each["name"] if isinstance(each, dict) else each for each in values] == ODD


def test_names_stay_text_in_the_runs_table_and_in_a_class_map(tmp_path: Path) -> None:
    from bpkd.datasets.classes_file import read_classes, write_classes

    save(tmp_path / "images/train/a.png", IMAGE)
    save(tmp_path / "labels/train/a.png", np.zeros((4, 6), np.uint8))
    data = Folder(tmp_path, split="train", classes=ODD)
    write_classes(tmp_path, data)
    assert read_classes(tmp_path)[0] == ODD
    file = tmp_path / "r.yaml"
    teacher = "teacher: {use: a.B, class_map: {no: off, yes: [on, 3]}}\n"
    file.write_text(TINY + teacher + "losses: {kd: {use: bpkd.losses.kd.KD}}\n")
    assert load_recipe(file, imports="known").teacher.class_map == {"no": "off", "yes": ["on", 3]}
