"""A check of the whole data set: nothing stops it, and what is odd is said."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from bpkd.datasets.checking.examining import Findings
from bpkd.datasets.checking.opening import opened
from bpkd.datasets.checking.summary import Summary
from bpkd.datasets.checking.tables import classes_table, splits_table
from bpkd.datasets.checking.whole import Checked, check_all
from bpkd.errors import UserError
from tests.pictures import save

CITYSCAPES = "data.use=bpkd.datasets.cityscapes.Cityscapes"


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Folder's layout: a pair in train and one in val, of the classes road and car."""
    (tmp_path / "classes.csv").write_text("name\nroad\ncar\n")
    for split in ("train", "val"):
        save(tmp_path / f"images/{split}/{split}.png", np.full((2, 4, 3), 99))
        save(tmp_path / f"labels/{split}/{split}.png", [[0, 0, 0, 1], [0, 0, 0, 1]])
    return tmp_path


def street(root: Path, split: str, frame: str, value: int = 7) -> Path:
    """An image of Cityscapes with its label map of one id; the image's file."""
    image = root / f"leftImg8bit/{split}/ulm/ulm_{frame}_leftImg8bit.png"
    save(image, np.full((2, 4, 3), 99))
    save(root / f"gtFine/{split}/ulm/ulm_{frame}_gtFine_labelIds.png", np.full((2, 4), value))
    return image


def checked(root: Path, *overrides: str) -> Checked:
    return check_all(opened(str(root), overrides))


def test_intact_data_leave_nothing_to_say(photos: Path) -> None:
    found = checked(photos)
    assert list(found.lines()) == ["0 broken of 2 pairs"] and not found.broken


def test_a_split_that_cannot_be_opened_is_broken_and_the_others_are_read(photos: Path) -> None:
    save(photos / "images/test/c.png", np.full((2, 4, 3), 99))
    (photos / "images/empty").mkdir()
    (photos / "labels/empty").mkdir()
    found = checked(photos)
    assert [summary.images for summary in found.summaries] == [1, 1] and found.broken
    assert list(found.failures) == ["test", "empty"]
    assert found.failures["test"].startswith(f"{photos}/labels/test is no folder: expected ")
    assert found.failures["test"].endswith("; data.test=null leaves it out")
    assert "'empty' has no images" in found.failures["empty"]
    lines = list(found.lines())
    assert lines[0] == f"broken: test: {found.failures['test']}"
    assert lines[-1] == "0 broken of 2 pairs; splits that cannot be opened: test, empty"
    (photos / "images/empty").rmdir()
    assert not checked(photos, "data.test=null").broken


def test_no_split_at_all_is_a_mistake(photos: Path) -> None:
    (photos / "labels").rename(photos / "masks")
    with pytest.raises(UserError, match="labels/train is no folder"):
        checked(photos)


def test_lists_of_voc(tmp_path: Path) -> None:
    lists = tmp_path / "ImageSets/Segmentation"
    lists.mkdir(parents=True)
    (lists / "train.txt").write_text("a\nb\n")
    (lists / "val.txt").write_text("")
    save(tmp_path / "JPEGImages/a.jpg", np.full((2, 4, 3), 99))
    save(tmp_path / "SegmentationClass/a.png", np.zeros((2, 4)))
    found = checked(tmp_path, "data.use=bpkd.datasets.voc.VOC")
    assert list(found.failures) == ["val"]
    broken = [line for line in found.lines() if line.startswith("broken: train: b: ")]
    assert len(broken) == 1 and f"{lists / 'train.txt'} names 'b'" in broken[0]
    assert "train: 1 images; the published set has 1,464" in found.warnings


def test_two_images_of_one_stem(photos: Path) -> None:
    save(photos / "images/train/train.jpeg", np.full((2, 4, 3), 99))
    problems = checked(photos).summaries[0].problems
    assert [problem.name for problem in problems] == ["train"]
    assert "train.jpeg and" in problems[0].message


def test_label_maps_without_an_image(
    photos: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    for number in range(5):
        save(photos / f"labels/val/{number}.png", np.zeros((2, 4)))
    found = checked(photos)
    files = ", ".join(str(photos / f"labels/val/{number}.png") for number in range(3))
    assert found.warnings == [f"val: label maps without an image: 5, {files}, ..."]
    assert not found.broken
    cities = tmp_path_factory.mktemp("cities")
    street(cities, "train", "kept")
    images = [street(cities, "train", frame) for frame in ("lost", "gone")]
    street(cities, "val", "kept")
    for image in images:
        image.unlink()
    summary = checked(cities, CITYSCAPES, "data.test=val").summaries[0]
    assert summary.images == 1 and len(summary.problems) == 2
    told = {problem.message for problem in summary.problems}
    labels = cities / "gtFine/train/ulm/ulm_lost_gtFine_labelIds.png"
    assert f"{labels} has no image {images[0]}" in told


def test_counts_of_the_published_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for split in ("train", "val"):
        street(tmp_path, split, "a")
    street(tmp_path, "train", "b").with_name("c").touch()
    warnings = checked(tmp_path, CITYSCAPES, "data.test=val").warnings
    assert warnings[:2] == [
        "train: 2 images; the published set has 2,975",
        "val: 1 images; the published set has 500",
    ]
    monkeypatch.setattr("bpkd.datasets.cityscapes.Cityscapes.published", {"train": 2, "val": 1})
    joined = ["data.train=train+val", "data.val=null", "data.test=null"]
    for splits in (["data.test=val"], joined):
        assert not [w for w in checked(tmp_path, CITYSCAPES, *splits).warnings if "published" in w]


def test_labels_that_are_not_public(tmp_path: Path) -> None:
    for split, value in (("train", 7), ("val", 7), ("test", 0)):
        street(tmp_path, split, "a", value)
    unlabelled = "no labelled pixel in any image, so nothing can be"
    warnings = checked(tmp_path, CITYSCAPES).warnings
    assert f"test: {unlabelled} measured on it; set data.test=val" in warnings
    street(tmp_path, "train", "a", 0)
    warnings = checked(tmp_path, CITYSCAPES, "data.test=val").warnings
    assert f"train: {unlabelled} learnt from it" in warnings
    assert not [warning for warning in warnings if warning.startswith("never in")]


def test_one_folder_for_all_splits(photos: Path) -> None:
    (photos / "images/test").symlink_to(photos / "images/val")
    (photos / "labels/test").symlink_to(photos / "labels/val")
    found = checked(photos)
    image = photos / "images/val/val.png"
    assert len(found.warnings) == 1 and not found.broken
    assert found.warnings[0].startswith(f"val and test share 1 images, e.g. {image}: give each")
    flat = checked(photos, "data.images=images/val", "data.labels=labels/val")
    assert [warning.split(" share ")[0] for warning in flat.warnings] == [
        "train and val", "train and test", "val and test",
    ]  # fmt: skip


# Tables -------------------------------------------------------------------------------------------

NAMES = ["pottedplant-and-its-saucer", "sky"]


def summaries(*splits: str) -> list[Summary]:
    found = []
    for split in splits:
        summary = Summary(split, NAMES)
        summary.add(Findings((1024, 2048), np.array([999, 1]), 10, 500))
        summary.occurs[:] = 118287
        found.append(summary)
    return found


def printed(width: int, *splits: str) -> list[str]:
    page = Console(width=width, file=io.StringIO())
    page.print(classes_table(summaries(*splits)))
    page.print(splits_table(summaries(*splits)))
    assert isinstance(page.file, io.StringIO)
    return page.file.getvalue().splitlines()


@pytest.mark.parametrize("width", [200, 60, 40, 30])
def test_numbers_and_headings_are_whole_at_any_width(width: int) -> None:
    lines = printed(width, "train", "val", "test")
    words = " ".join(lines).split()
    for word, times in (("118,287", 6), ("99.90", 3), ("0.10", 3), ("2048x1024", 9), ("50.0", 3)):
        assert words.count(word) == times, word
    assert not [line for line in lines if "…" in line]
    assert words.count("train") >= 3 and words.count("images") >= 3
    if width >= 40:
        assert max(map(len, lines)) <= width


def test_names_fold_where_room_is_scarce() -> None:
    assert any("0 pottedplant-and-its-saucer" in line for line in printed(200, "train"))
    narrow = printed(34, "train")
    column = "".join(line[1:].split("  ")[0].strip() for line in narrow)
    assert "pottedplant-and-its-saucer" in column.replace(" ", "")
