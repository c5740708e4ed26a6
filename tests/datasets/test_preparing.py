"""Preparations: each on a tiny archive in the official layout, read back by the data set."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from bpkd.datasets.ade20k import ADE20K
from bpkd.datasets.cityscapes import Cityscapes
from bpkd.datasets.coco_stuff import COCOStuff
from bpkd.datasets.pascal_context import CLASSES, LABEL_IDS, PascalContext
from bpkd.datasets.preparing import NAMES, prepare
from bpkd.datasets.preparing.cityscapes import IDS, train_ids
from bpkd.datasets.preparing.rle import decode
from bpkd.datasets.voc import VOC
from bpkd.errors import UserError
from tests.pictures import save

savemat = pytest.importorskip("scipy.io").savemat


def write(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


def read(file: Path) -> list[list[int]]:
    with Image.open(file) as image:
        values: list[list[int]] = np.asarray(image).tolist()
    return values


def photo(file: Path, size: tuple[int, int] = (2, 3)) -> None:
    save(file, np.zeros((*size, 3)))


# Cityscapes ---------------------------------------------------------------------------------------


def square(label: str, left: int, right: int, **more: Any) -> dict[str, Any]:
    corners = [[left, 0], [right, 0], [right, 3], [left, 3]]
    return {"label": label, "polygon": corners, **more}


@pytest.fixture
def cityscapes(tmp_path: Path) -> Path:
    """A label map of ids in train, polygons in val."""
    for split, city in (("train", "aachen"), ("val", "ulm")):
        photo(tmp_path / f"leftImg8bit/{split}/{city}/{city}_0_0_leftImg8bit.png", (4, 6))
    ids = tmp_path / "gtFine/train/aachen/aachen_0_0_gtFine_labelIds.png"
    save(ids, [[7, 8, 26, 33, 0, 18]] * 4)
    save(ids.with_name("aachen_0_0_gtFine_color.png"), np.zeros((4, 6, 4)))
    objects = [
        square("sky", 0, 5),
        square("cargroup", 0, 2),
        square("license plate", 0, 0),
        square("road", 1, 1),
        square("tunnel", 4, 4),
        square("person", 3, 3, deleted=1),
        square("polegroup", 5, 5),
    ]
    content = {"imgHeight": 4, "imgWidth": 6, "objects": objects}
    write(tmp_path / "gtFine/val/ulm/ulm_0_0_gtFine_polygons.json", json.dumps(content))
    return tmp_path


def test_cityscapes(cityscapes: Path) -> None:
    report = prepare("cityscapes", cityscapes)
    assert not report.problems and report.lines[0] == "2 label maps written, 0 were there already"
    row = [0, 1, 13, 18, 255, 255]
    assert Cityscapes(cityscapes, "train")[0][1].tolist() == [row] * 4
    # The plate is not drawn, a car group is a car, what is drawn later lies above.
    drawn = Cityscapes(cityscapes, "val")[0][1].tolist()
    assert drawn == [[13, 0, 13, 10, 255, 255]] * 4


def test_label_ids_count_more_than_polygons(cityscapes: Path) -> None:
    file = cityscapes / "gtFine/train/aachen/aachen_0_0_gtFine_polygons.json"
    write(file, "no JSON at all")
    assert not prepare("cityscapes", cityscapes).problems


def test_preparing_goes_on_where_it_stopped(cityscapes: Path) -> None:
    done = cityscapes / "gtFine/train/aachen/aachen_0_0_gtFine_labelTrainIds.png"
    save(done, np.full((4, 6), 5))
    assert "1 label maps written, 1 were there" in prepare("cityscapes", cityscapes).lines[0]
    assert read(done) == [[5] * 6] * 4


def test_overwriting(cityscapes: Path) -> None:
    done = cityscapes / "gtFine/train/aachen/aachen_0_0_gtFine_labelTrainIds.png"
    save(done, np.full((4, 6), 5))
    assert "--overwrite makes them anew" in prepare("cityscapes", cityscapes).lines[0]
    lines = prepare("cityscapes", cityscapes, overwrite=True).lines
    assert lines[0] == "2 label maps written, 0 were there already"
    assert read(done) == [[0, 1, 13, 18, 255, 255]] * 4


def test_cityscapes_without_images(cityscapes: Path) -> None:
    shutil.rmtree(cityscapes / "leftImg8bit")
    report = prepare("cityscapes", cityscapes)
    assert report.lines == ["2 label maps written, 0 were there already"]
    (problem,) = report.problems
    assert f"{cityscapes}/leftImg8bit is missing" in problem
    assert "fetch leftImg8bit_trainvaltest.zip from cityscapes-dataset.com" in problem
    (cityscapes / "leftImg8bit_trainvaltest.zip").touch()
    (problem,) = prepare("cityscapes", cityscapes).problems
    assert problem.endswith(f"found leftImg8bit_trainvaltest.zip: unpack it into {cityscapes}")


def test_another_folder_for_the_result(cityscapes: Path, tmp_path: Path) -> None:
    before = {file for file in cityscapes.rglob("*")}
    out = tmp_path / "out"
    prepare("cityscapes", cityscapes, out, workers=2)
    assert Cityscapes(out, "train")[0][1][0].tolist() == [0, 1, 13, 18, 255, 255]
    assert {file for file in cityscapes.rglob("*") if out not in [file, *file.parents]} == before


def test_a_damaged_annotation_is_named_and_the_others_are_converted(cityscapes: Path) -> None:
    file = cityscapes / "gtFine/val/ulm/ulm_0_0_gtFine_polygons.json"
    write(file, '{"imgHeight": 4')
    report = prepare("cityscapes", cityscapes)
    assert len(report.problems) == 1 and str(file) in report.problems[0]
    assert report.lines == ["1 label maps written, 0 were there already"]  # and nothing is ready
    assert not list(cityscapes.rglob("*.part"))


EVALUATED = """road, sidewalk, building, wall, fence, pole, traffic light, traffic sign, vegetation,
    terrain, sky, person, rider, car, truck, bus, train, motorcycle, bicycle"""


def test_every_id_of_cityscapes(tmp_path: Path) -> None:
    """Against the published list of evaluated names, which stand in the order of their classes."""
    evaluated = [name.strip() for name in EVALUATED.split(",")]
    save(tmp_path / "x_labelIds.png", [list(range(34))])
    classes = np.asarray(train_ids(tmp_path / "x_labelIds.png"))[0].tolist()
    names = {id_: name for name, id_ in IDS.items()}
    assert len(IDS) == 35 and IDS["bicycle"] == 33 and IDS["license plate"] == -1
    for id_, class_ in enumerate(classes):
        name = names[id_]
        assert class_ == (evaluated.index(name) if name in evaluated else 255)


def test_labels_that_cityscapes_does_not_have(cityscapes: Path) -> None:
    file = cityscapes / "gtFine/val/ulm/ulm_0_0_gtFine_polygons.json"
    file.write_text(file.read_text().replace("cargroup", "tramgroup"))
    save(cityscapes / "gtFine/train/aachen/aachen_0_0_gtFine_labelIds.png", [[40]])
    problems = prepare("cityscapes", cityscapes).problems
    assert len(problems) == 2 and "the id 40" in problems[0] and "'tramgroup'" in problems[1]


# Pascal Context -----------------------------------------------------------------------------------


def context_lists(folder: Path) -> None:
    """labels.txt and 59_labels.txt, the latter in another order and with its other spellings."""
    names = {number: f"thing {number}" for number in range(1, 460)}
    names |= dict(zip(LABEL_IDS, CLASSES, strict=True))
    names[308] = "potted plant"
    write(folder / "labels.txt", "".join(f"{k}: {v}\n" for k, v in sorted(names.items())))
    spelt = {"table": "diningtable", "bedclothes": "bedcloth", "cloth": "clothes"}
    chosen = [spelt.get(name, name) for name in reversed(CLASSES)]
    write(folder / "59_labels.txt", "".join(f"{i}: {n}\n" for i, n in enumerate(chosen, 1)))


@pytest.fixture
def context(tmp_path: Path) -> Path:
    voc = tmp_path / "VOCdevkit/VOC2010"
    for name in ("2008_000001", "2008_000002", "2008_000009"):
        photo(voc / f"JPEGImages/{name}.jpg")
    write(voc / "ImageSets/Main/train.txt", "2008_000001\n2008_000009\n")
    write(voc / "ImageSets/Main/val.txt", "2008_000002\n")
    return tmp_path


def test_pascal_context_from_matlab(context: Path) -> None:
    context_lists(context)
    maps = {"2008_000001": [[2, 458, 397], [1, 0, 459]], "2008_000002": [[308, 19, 80]] * 2}
    (context / "trainval").mkdir()
    for name, labels in maps.items():
        savemat(context / f"trainval/{name}.mat", {"LabelMap": np.array(labels, np.uint16)})
    report = prepare("pascal-context", context)
    assert not report.problems and "train: 1 images, val: 1 images" in report.lines
    train, val = (PascalContext(context, split) for split in ("train", "val"))
    table, plant = CLASSES.index("table"), CLASSES.index("pottedplant")
    assert train[0][1].tolist() == [[0, 58, table], [255, 255, 255]]
    assert val[0][1][0].tolist() == [plant, CLASSES.index("bedclothes"), CLASSES.index("cloth")]


def test_what_failed_is_in_no_list(context: Path) -> None:
    context_lists(context)
    (context / "trainval").mkdir()
    for name in ("2008_000001", "2008_000002", "2008_000009"):
        savemat(context / f"trainval/{name}.mat", {"LabelMap": np.full((2, 3), 2)})
    (context / "trainval/2008_000009.mat").write_bytes(b"damaged")
    report = prepare("pascal-context", context)
    assert len(report.problems) == 1 and "2008_000009.mat" in report.problems[0]
    assert report.lines[-2] == "train: 1 images, val: 1 images"
    assert report.lines[-1] == f"ready, without the 1 that failed: set data.root={context}"
    assert len(PascalContext(context, "train")) == 1


def test_annotations_of_another_kind_take_the_place_of_the_former(context: Path) -> None:
    """Only where that is asked for: otherwise the line says that two sources may be mixed."""
    context_lists(context)
    (context / "trainval").mkdir()
    savemat(context / "trainval/2008_000001.mat", {"LabelMap": np.full((2, 3), 2)})
    prepare("pascal-context", context)
    shutil.rmtree(context / "trainval")
    masks = [{"image_id": 5, "category_id": 360, "segmentation": {"size": [2, 3], "counts": "06"}}]
    image = {"image_id": 5, "file_name": "2008_000001.jpg", "height": 2, "width": 3}
    content = {"images": [image | {"phase": "train"}], "annos_segmentation": masks}
    write(context / "trainval_merged.json", json.dumps(content))
    lines = prepare("pascal-context", context).lines
    assert "1 were there already (--overwrite makes them anew, e.g. from another" in lines[1]
    assert PascalContext(context, "train")[0][1].unique().tolist() == [CLASSES.index("aeroplane")]
    prepare("pascal-context", context, overwrite=True)
    assert PascalContext(context, "train")[0][1].unique().tolist() == [CLASSES.index("sky")]
    # What cannot be made anew stays as a file, but what it was made from is not known any more.
    masks[0]["segmentation"] = {"size": [2, 3], "counts": "07"}
    write(context / "trainval_merged.json", json.dumps(content))
    assert prepare("pascal-context", context, overwrite=True).failed
    assert not (context / "VOCdevkit/VOC2010/ImageSets/SegmentationContext/train.txt").read_text()


def test_lists_of_other_labels(context: Path) -> None:
    context_lists(context)
    (context / "trainval").mkdir()
    savemat(context / "trainval/2008_000001.mat", {"LabelMap": np.zeros((2, 3))})
    names = context / "59_labels.txt"
    names.write_text(names.read_text().replace("aeroplane", "zeppelin"))
    with pytest.raises(UserError, match="not those of Pascal Context: 'aeroplane'"):
        prepare("pascal-context", context)
    names.unlink()
    with pytest.raises(UserError, match=r"59_labels\.txt is missing"):
        prepare("pascal-context", context)


def coco_text(mask: Sequence[Sequence[int]]) -> str:
    """COCO's text of a mask, written the other way round than it is read."""
    column_major = np.array(mask).flatten(order="F").tolist()
    runs = [len(list(group)) for _, group in groupby(column_major)]
    runs = [0, *runs] if column_major[0] else runs
    text = ""
    for i, run in enumerate(runs):
        value, more = run - (runs[i - 2] if i > 2 else 0), True
        while more:
            bits, value = value & 31, value >> 5
            more = value != (-1 if bits & 16 else 0)
            text += chr(48 + bits + 32 * more)
    return text


def test_run_lengths_of_random_masks() -> None:
    draw = np.random.default_rng(0)
    for size in ((1, 1), (7, 5), (40, 60)):
        for share in (0.02, 0.5, 1):
            mask = draw.random(size) < share
            assert (decode(coco_text(mask.astype(int).tolist()), size) == mask).all()
    with pytest.raises(UserError, match="a mask of 4 pixels for an image of 3x2"):
        decode([4], (2, 3))


def test_pascal_context_from_json(context: Path) -> None:
    def mask(image_id: int, number: int, rows: list[list[int]]) -> dict[str, Any]:
        segmentation = {"size": [2, 3], "counts": coco_text(rows)}
        return {"image_id": image_id, "category_id": number, "segmentation": segmentation}

    images = [
        {"image_id": 7, "file_name": "2008_000002.jpg", "height": 2, "width": 3, "phase": "val"},
        {"image_id": 5, "file_name": "2008_000001.jpg", "height": 2, "width": 3, "phase": "train"},
        {"image_id": 6, "file_name": "2008_000009.jpg", "height": 2, "width": 3, "phase": "test"},
    ]
    masks = [
        mask(5, 2, [[1, 1, 0], [1, 0, 0]]),
        mask(7, 458, [[1, 1, 1], [1, 1, 1]]),
        mask(5, 360, [[0, 1, 0], [0, 1, 0]]),
        mask(5, 3, [[0, 0, 1], [0, 0, 0]]),
    ]
    content = {"images": images, "annos_segmentation": masks}
    write(context / "VOCdevkit/VOC2010/trainval_merged.json", json.dumps(content))
    assert not prepare("pascal-context", context, workers=1).problems
    sky = CLASSES.index("sky")
    assert PascalContext(context, "train")[0][1].tolist() == [[0, sky, 255], [0, sky, 255]]
    assert PascalContext(context, "val")[0][1].tolist() == [[58] * 3] * 2
    for damaged in ("{", '{"images": [{"image_id": 1}]}', "[]"):
        write(context / "VOCdevkit/VOC2010/trainval_merged.json", damaged)
        with pytest.raises(UserError, match="is not the file of the Detail API"):
            prepare("pascal-context", context)


# VOC ----------------------------------------------------------------------------------------------


@pytest.fixture
def voc(tmp_path: Path) -> Path:
    """VOC: a in train, b in val. SBD: a, b and c, d."""
    folder, sbd = tmp_path / "VOCdevkit/VOC2012", tmp_path / "benchmark_RELEASE/dataset"
    for name in "abcd":
        photo(folder / f"JPEGImages/{name}.jpg")
    for name in "ab":
        save(folder / f"SegmentationClass/{name}.png", np.full((2, 3), 1))
    write(folder / "ImageSets/Segmentation/train.txt", "a\n")
    write(folder / "ImageSets/Segmentation/val.txt", "b\n")
    write(sbd / "train.txt", "d\nb\n")
    write(sbd / "val.txt", "c\na\n")
    (sbd / "cls").mkdir()
    for value, name in enumerate("abcd", 10):
        labels = np.full((2, 3), value, np.uint8)
        savemat(sbd / f"cls/{name}.mat", {"GTcls": {"Segmentation": labels, "Boundaries": 0}})
    return tmp_path


@pytest.mark.parametrize("out", [None, "out"])
def test_voc(voc: Path, out: str | None) -> None:
    report = prepare("voc", voc, None if out is None else voc / out)
    assert not report.problems and "train_aug: 3 images (published: 10582)" in report.lines
    data = VOC(voc / (out or ""), "train_aug")
    assert {data.name(i): int(data[i][1].max()) for i in range(3)} == {"a": 1, "c": 12, "d": 13}
    assert len(VOC(voc / (out or ""), "val")) == 1


def test_voc_without_what_failed(voc: Path) -> None:
    (voc / "benchmark_RELEASE/dataset/cls/c.mat").unlink()
    report = prepare("voc", voc)
    assert len(report.problems) == 1 and "c.mat" in report.problems[0]
    data = VOC(voc, "train_aug")
    assert [data.name(i) for i in range(len(data))] == ["a", "d"]


def test_voc_without_scipy(voc: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Said once, not for each of 9118 files, and nothing is listed."""
    monkeypatch.setitem(sys.modules, "scipy.io", None)
    with pytest.raises(UserError, match=r"pip install 'bpkd\[prepare\]'"):
        prepare("voc", voc)
    assert not list(voc.rglob("trainaug.txt"))


# What needs no conversion -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "data", "folders"),
    [
        ("ade20k", ADE20K, ("training", "validation")),
        ("coco-stuff", COCOStuff, ("train2017", "val2017")),
    ],
)
def test_layouts_that_are_read_as_they_are(
    tmp_path: Path, name: str, data: Callable[..., Any], folders: tuple[str, str]
) -> None:
    for folder in folders:
        for stem in "xy":
            photo(tmp_path / f"images/{folder}/{stem}.jpg")
            save(tmp_path / f"annotations/{folder}/{stem}.png", np.ones((2, 3)))
    (tmp_path / "annotations" / folders[1] / "y.png").unlink()
    before = sorted(tmp_path.rglob("*"))
    report = prepare(name, tmp_path)
    assert report.lines[0].startswith("not ready: label maps are missing: nothing needs convert")
    assert report.lines[1].startswith("train: 2 images") and "published" in report.lines[1]
    assert report.lines[2].startswith("val: 1 images")
    assert len(report.problems) == 1 and "y.png" in report.problems[0]
    assert sorted(tmp_path.rglob("*")) == before and len(data(tmp_path, "train")) == 2


# Bad input ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [name for name in NAMES if name != "annotations"])
def test_a_folder_that_holds_nothing(tmp_path: Path, name: str) -> None:
    for folder in (tmp_path, tmp_path / "none"):
        with pytest.raises(UserError) as caught:
            prepare(name, folder)
        line = str(caught.value)
        assert "\n" not in line and str(folder) in line
        assert any(site in line for site in ("cityscapes-dataset.com", "host.robots", "csail",
                                             "cocodataset.org"))  # fmt: skip
    assert not (tmp_path / "none").exists()


def test_voc_alone_has_no_sbd(voc: Path) -> None:
    shutil.rmtree(voc / "benchmark_RELEASE")
    with pytest.raises(UserError, match="has no SBD"):
        prepare("voc", voc)


def test_an_unknown_data_set(tmp_path: Path) -> None:
    for name, near in (("cityscape", "cityscapes"), ("coco_stuf", "coco-stuff")):
        with pytest.raises(UserError, match=f"did you mean '{near}'"):
            prepare(name, tmp_path)


@pytest.mark.parametrize(
    ("name", "title"), [("pascal_context", "Pascal C"), ("coco_stuff", "COCO-S")]
)
def test_names_as_recipes_spell_them(tmp_path: Path, name: str, title: str) -> None:
    with pytest.raises(UserError, match=f"is not {title}"):
        prepare(name, tmp_path)


def test_an_archive_instead_of_a_folder(tmp_path: Path) -> None:
    (tmp_path / "ADEChallengeData2016.zip").touch()
    with pytest.raises(UserError, match=r"2016\.zip is a file: unpack it"):
        prepare("ade20k", tmp_path / "ADEChallengeData2016.zip")


def test_a_folder_that_cannot_be_written_to(cityscapes: Path) -> None:
    (cityscapes / "out").write_text("a file")
    with pytest.raises(UserError, match=r"out/leftImg8bit|cannot be written"):
        prepare("cityscapes", cityscapes, cityscapes / "out")
