"""Preparations: what is ready already, where the parts are looked for, archives not unpacked."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from bpkd.datasets.ade20k import ADE20K
from bpkd.datasets.cityscapes import Cityscapes
from bpkd.datasets.pascal_context import CLASSES, LABEL_IDS, PascalContext
from bpkd.datasets.preparing import prepare
from bpkd.datasets.voc import VOC
from bpkd.errors import UserError
from tests.commands import bpkd, done, refused
from tests.pictures import save

savemat = pytest.importorskip("scipy.io").savemat


def write(file: Path, *lines: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("".join(f"{line}\n" for line in lines))


def photos(folder: Path, names: Sequence[str]) -> None:
    for name in names:
        save(folder / f"JPEGImages/{name}.jpg", np.zeros((2, 3, 3)))


def label_maps(folder: Path, names: Sequence[str], value: int = 1) -> None:
    for name in names:
        save(folder / f"{name}.png", np.full((2, 3), value))


# Ready --------------------------------------------------------------------------------------------


def context_as_mmsegmentation_has_it(root: Path) -> Path:
    folder = root / "VOCdevkit/VOC2010"
    photos(folder, "ab")
    label_maps(folder / "SegmentationClassContext", "ab")
    write(folder / "ImageSets/SegmentationContext/train.txt", "a")
    write(folder / "ImageSets/SegmentationContext/val.txt", "b")
    return root


def voc_with_augmented_labels(root: Path) -> Path:
    folder = root / "VOCdevkit/VOC2012"
    photos(folder, "abc")
    label_maps(folder / "SegmentationClass", "ab")
    label_maps(folder / "SegmentationClassAug", "abc")
    for name, names in (("train", "a"), ("val", "b"), ("trainaug", "ac")):
        write(folder / f"ImageSets/Segmentation/{name}.txt", *names)
    return root


def converted_cityscapes(root: Path) -> Path:
    for split in ("train", "val"):
        save(root / f"leftImg8bit/{split}/ulm/u_leftImg8bit.png", np.zeros((2, 3, 3)))
        label_maps(root / f"gtFine/{split}/ulm", ["u_gtFine_labelTrainIds"])
    return root


def ade20k(root: Path) -> Path:
    for split in ("training", "validation"):
        save(root / f"ADEChallengeData2016/images/{split}/a.jpg", np.zeros((2, 3, 3)))
        label_maps(root / f"ADEChallengeData2016/annotations/{split}", "a")
    return root


Make = Callable[[Path], Path]
READY = [
    ("pascal-context", context_as_mmsegmentation_has_it, ""),
    ("voc", voc_with_augmented_labels, " data.train=train_aug"),
    ("cityscapes", converted_cityscapes, ""),
    ("ade20k", ade20k, ""),
]


@pytest.mark.parametrize(("name", "make", "more"), READY)
def test_what_is_ready_already(tmp_path: Path, name: str, make: Make, more: str) -> None:
    root = make(tmp_path)
    before = sorted(root.rglob("*"))
    out = done("data", "prepare", name, root)
    inner = "/ADEChallengeData2016" if name == "ade20k" else ""
    assert out.splitlines()[0] == (
        f"ready: nothing needs converting, set data.root={root}{inner}{more}"
    )
    assert "train: 1 images with label maps (published: " in out
    for option in (["--out", tmp_path / "out"], ["--overwrite"]):
        line = refused("data", "prepare", name, root, *option)
        assert f"{option[0]} has no use here" in line
    assert sorted(root.rglob("*")) == before


def test_not_ready_where_a_label_map_is_missing(tmp_path: Path) -> None:
    root = context_as_mmsegmentation_has_it(tmp_path)
    (root / "VOCdevkit/VOC2010/SegmentationClassContext/a.png").unlink()
    label_maps(root / "VOCdevkit/VOC2010/SegmentationClassContext", "c")
    code, out, _ = bpkd("data", "prepare", "pascal-context", root)
    assert code == 1 and out.startswith("not ready: ") and "broken: " in out and "a.png" in out


# Where the parts lie ------------------------------------------------------------------------------


@pytest.fixture
def context(tmp_path: Path) -> Path:
    """VOC's folder beside the MATLAB files, in a folder of a folder."""
    root = tmp_path / "data/pc"
    photos(root / "VOCdevkit/VOC2010", "ab")
    write(root / "VOCdevkit/VOC2010/ImageSets/Main/train.txt", "a")
    write(root / "VOCdevkit/VOC2010/ImageSets/Main/val.txt", "b")
    write(root / "59_labels.txt", *(f"{i}: {name}" for i, name in enumerate(CLASSES, 1)))
    numbered = dict(zip(LABEL_IDS, CLASSES, strict=True))
    write(root / "labels.txt", *(f"{i}: {numbered.get(i, f'x{i}')}" for i in range(1, 460)))
    (root / "trainval").mkdir()
    for name in "ab":
        savemat(root / f"trainval/{name}.mat", {"LabelMap": np.full((2, 3), LABEL_IDS[7])})
    return root


@pytest.mark.parametrize(
    "place", ["", "VOCdevkit", "VOCdevkit/VOC2010", "trainval", "..", "VOCdevkit/.."]
)
def test_pascal_context_one_level_up_or_down(context: Path, place: str) -> None:
    report = prepare("pascal-context", context / place)
    folder, mats = (Path(part).resolve() for part in report.lines[0][7:].split(", "))
    assert (folder, mats) == (context / "VOCdevkit/VOC2010", context / "trainval")
    root = report.lines[-1].removeprefix("ready: set data.root=")
    assert PascalContext(root, "train")[0][1].unique().tolist() == [7]


def test_in_the_folder_itself(context: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(context / "VOCdevkit")
    assert prepare("pascal-context", ".").lines[0] == (
        f"taken: {context}/VOCdevkit/VOC2010, {context}/trainval"
    )


@pytest.mark.parametrize("place", ["VOCdevkit", "VOCdevkit/VOC2012", "benchmark_RELEASE", ".."])
def test_voc_one_level_up_or_down(tmp_path: Path, place: str) -> None:
    root = tmp_path / "voc"
    photos(root / "VOCdevkit/VOC2012", "abc")
    label_maps(root / "VOCdevkit/VOC2012/SegmentationClass", "ab")
    for name, names in (("train", "a"), ("val", "b")):
        write(root / f"VOCdevkit/VOC2012/ImageSets/Segmentation/{name}.txt", *names)
        write(root / f"benchmark_RELEASE/dataset/{name}.txt", "c")
    (root / "benchmark_RELEASE/dataset/cls").mkdir()
    content = {"GTcls": {"Segmentation": np.full((2, 3), 4), "Boundaries": 0}}
    savemat(root / "benchmark_RELEASE/dataset/cls/c.mat", content)
    report = prepare("voc", root / place)
    assert report.lines[0].startswith("taken: ") and not report.problems
    found = report.lines[-1].split("data.root=")[1].split()[0]
    assert VOC(found, "train_aug")[1][1].unique().tolist() == [4]


@pytest.mark.parametrize("place", ["leftImg8bit", "gtFine", ".."])
def test_cityscapes_one_level_up_or_down(tmp_path: Path, place: str) -> None:
    root = tmp_path / "cs"
    save(root / "leftImg8bit/train/ulm/u_leftImg8bit.png", np.zeros((2, 3, 3)))
    label_maps(root / "gtFine/train/ulm", ["u_gtFine_labelIds"], 7)
    report = prepare("cityscapes", root / place)
    assert (root / "gtFine/train/ulm/u_gtFine_labelTrainIds.png").is_file()
    assert report.lines[0].startswith("taken: ") and report.lines[-1].startswith("ready: ")


def test_cityscapes_with_a_folder_for_each_archive(tmp_path: Path) -> None:
    fine, images = tmp_path / "gtFine_trainvaltest", tmp_path / "leftImg8bit_trainvaltest"
    save(images / "leftImg8bit/train/ulm/u_leftImg8bit.png", np.zeros((2, 3, 3)))
    label_maps(fine / "gtFine/train/ulm", ["u_gtFine_labelIds"], 7)
    lines = prepare("cityscapes", tmp_path).lines
    assert f"{fine}/leftImg8bit is a link to {images}/leftImg8bit" in lines
    assert lines[-1] == f"ready: set data.root={fine}" and len(Cityscapes(fine, "train")) == 1


@pytest.mark.parametrize("place", ["ADEChallengeData2016/images", "ADEChallengeData2016", ".."])
def test_ade20k_one_level_up_or_down(tmp_path: Path, place: str) -> None:
    root = ade20k(tmp_path / "ade") / "ADEChallengeData2016"
    line = prepare("ade20k", root.parent / place).lines[0]
    found = Path(line.split("data.root=")[1])
    assert found.samefile(root) and len(ADE20K(found, "val")) == 1


def test_two_copies_and_a_neighbour(tmp_path: Path) -> None:
    """Which of two is meant is not guessed; what lies beside an empty folder is not meant."""
    ade20k(tmp_path / "one")
    (tmp_path / "empty").mkdir()
    assert prepare("ade20k", tmp_path).lines[0].endswith("/one/ADEChallengeData2016")
    ade20k(tmp_path / "two")
    with pytest.raises(UserError, match=r"holds several copies, e\.g\. .*/one and .*/two"):
        prepare("ade20k", tmp_path)
    with pytest.raises(UserError, match="empty is not ADE20K"):
        prepare("ade20k", tmp_path / "empty")


# Archives -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "archives", "into"),
    [
        ("cityscapes", ["leftImg8bit_trainvaltest.zip", "gtFine_trainvaltest.zip"], ""),
        ("ade20k", ["ADEChallengeData2016.zip"], ""),
        ("voc", ["VOCtrainval_11-May-2012.tar", "benchmark.tgz"], ""),
        ("pascal-context", ["VOCtrainval_03-May-2010.tar", "trainval.tar.gz"], ""),
        ("coco-stuff", ["train2017.zip", "val2017.zip"], "/images"),
        ("coco-stuff", ["stuffthingmaps_trainval2017.zip"], "/annotations"),
    ],
)
def test_archives_that_are_not_unpacked(
    tmp_path: Path, name: str, archives: list[str], into: str
) -> None:
    for archive in archives:
        (tmp_path / archive).touch()
    them = "it" if len(archives) == 1 else "them"
    with pytest.raises(UserError) as caught:
        prepare(name, tmp_path)
    note = f"; found {', '.join(archives)}: unpack {them} into {tmp_path}{into}"
    assert str(caught.value).endswith(note)


def test_an_archive_that_was_unpacked_is_not_named(tmp_path: Path) -> None:
    photos(tmp_path / "VOCdevkit/VOC2012", "a")
    (tmp_path / "VOCtrainval_11-May-2012.tar").touch()
    (tmp_path / "downloads").mkdir()
    (tmp_path / "downloads/benchmark.tgz").touch()
    with pytest.raises(UserError) as caught:
        prepare("voc", tmp_path)
    assert str(caught.value).endswith(f"; found downloads/benchmark.tgz: unpack it into {tmp_path}")
