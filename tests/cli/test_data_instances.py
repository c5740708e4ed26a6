"""bpkd data check, show and prepare on instances."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from bpkd.datasets.checking.first_look import look
from bpkd.datasets.coco import COCO
from bpkd.datasets.instance_scenes import InstanceScenes
from bpkd.datasets.instances import Instances
from bpkd.errors import UserError
from bpkd.report.sheet_targets import drawn
from tests.coco_folders import annotation, content, write
from tests.commands import bpkd, done, refused
from tests.pictures import save


def rows(page: str) -> list[list[str]]:
    return [line.split() for line in page.splitlines()]


def test_check_counts_by_class_and_size(tmp_path: Path) -> None:
    write(tmp_path, content())
    out = done("data", "check", tmp_path, "--workers", 0, "--json", tmp_path / "x.json")
    table = rows(out)
    # Small, medium, large, all, images: one square; the other class has a crowd and one in parts.
    assert ["1", "kite", "1", "-", "-", "1", "1"] in table
    assert ["0", "person", "1", "-", "-", "1", "1"] in table
    assert ["images", "without", "instances", "1"] in table and ["crowds", "1"] in table
    assert ["instances", "2"] in table
    assert ["small,", "below", "32x32", "(%", "of", "instances)", "2", "(100)"] in table
    assert "0 broken annotations or files, 3 images read" in out
    (split,) = json.loads((tmp_path / "x.json").read_text())["splits"]
    assert (split["split"], split["images"], split["instances"], split["crowds"]) == (
        "train2017", 3, 2, 1,
    )  # fmt: skip
    assert split["classes"][1] == {
        "name": "kite", "instances": 1, "images": 1, "s": 1, "m": 0, "l": 0,
    }  # fmt: skip
    assert split["instances_of_an_image"] == [
        {"instances": 0, "images": 1}, {"instances": 1, "images": 2},
    ]  # fmt: skip


def test_check_names_all_that_is_broken(tmp_path: Path) -> None:
    entries = content()
    entries["annotations"] += [
        annotation(11, 3, 1, [[0, 0, 4, 4]]),
        annotation(12, 3, 77, [[0, 0, 4, 0, 4, 4]]),
        annotation(5, 3, 1, [[0, 0, 4, 0, 4, 4]]),
        annotation(13, 3, 1, {"size": [8, 12], "counts": "04"}),
    ]
    entries["images"].append({"id": 20, "file_name": "gone.png", "height": 8, "width": 12})
    write(tmp_path, entries)
    code, out, _ = bpkd("data", "check", tmp_path, "--workers", 0)
    lines = [line for line in out.splitlines() if line.startswith("broken: ")]
    file = tmp_path / "annotations/instances_train2017.json"
    start = f"broken: train2017: b: {file}: annotation"
    assert code == 1 and lines[:4] == [
        f"{start} 11 has a polygon of 2 points: expected 3 or more",
        f"{start} 12 has the category_id 77, which is not among the categories",
        f"{start} 5 is listed twice: each needs an id of its own",
        f"broken: train2017: gone: {tmp_path / 'train2017/gone.png'} does not exist",
    ]
    assert lines[4].startswith("broken: train2017: b: b.png: annotation 13 has run lengths that")
    assert len(lines) == 5 and "5 broken annotations or files, 2 images read" in out


def test_check_warns_of_what_is_odd(tmp_path: Path) -> None:
    entries = content()
    entries["categories"].append({"id": 4, "name": "dragon"})
    entries["annotations"] += [
        annotation(11, 3, 1, [[0, 0, 4, 0, 4, 4]], bbox=[0, 0, 30, 4]),
        annotation(12, 3, 1, [[6, 1, 9, 1, 9, 5]], bbox=[6, 1, 9, 5]),  # x2, y2 for width, height
        annotation(13, 3, 1, [[90, 90, 95, 90, 95, 95]]),
    ]
    write(tmp_path, entries)
    write(tmp_path, entries | {"annotations": []}, "val2017", "train2017")
    out = done("data", "check", tmp_path, "data.images=train2017", "--workers", 0)
    warned = [line for line in out.splitlines() if line.startswith("warning: ")]
    assert warned[0].startswith("warning: train2017 and val2017 share 3 images, e.g. ")
    assert warned[1:] == [
        "warning: never in train2017: dragon",
        "warning: train2017: 3 boxes reach more than a pixel beyond their image, or have no "
        "extent, e.g. in b",
        "warning: train2017: 2 boxes are not those of their masks (IoU below 0.5; bbox: x, y, "
        "width, height), e.g. in b",
        "warning: train2017: 1 masks cover no pixel, e.g. in b",
        "warning: val2017: no instance in any image, so nothing can be measured on it",
    ]


def test_check_names_a_split_of_other_classes(tmp_path: Path) -> None:
    write(tmp_path, content())
    entries = content()
    entries["categories"].append({"id": 4, "name": "dragon"})
    write(tmp_path, entries, "val2017")
    code, out, _ = bpkd("data", "check", tmp_path, "--workers", 0)
    assert code == 1 and "splits that cannot be opened: val2017" in out
    assert (
        "broken: val2017: it has other classes than train2017, 3 and not 2: name those that count "
        "in data.classes"
    ) in out
    found = done("data", "check", tmp_path, "data.classes=[kite]", "--workers", 0)
    assert "cannot be opened" not in found


def test_check_a_folder_of_maps(tmp_path: Path) -> None:
    for name in "ab":
        save(tmp_path / f"images/{name}.png", np.zeros((40, 50, 3)))
        save(tmp_path / f"instances/{name}.png", np.kron(np.eye(2), np.ones((20, 25))))
    out = done("data", "check", tmp_path, "--workers", 0)
    assert ["0", "object", "2", "-", "-", "2", "2"] in rows(out)  # of 1000 pixels, in two pieces
    for name in "ab":
        for kind in ("images", "instances"):
            file = tmp_path / f"{kind}/{name}.png"
            (tmp_path / kind / "train").mkdir(exist_ok=True)
            file.rename(tmp_path / kind / "train" / file.name)
    assert "0 broken annotations or files, 2 images read" in done("data", "check", tmp_path)
    (tmp_path / "instances/train/a.png").unlink()
    code, out, _ = bpkd("data", "check", tmp_path, "--workers", 0)
    assert code == 1 and "a.png has no label map" in out


def test_check_and_show_the_painted_scenes(tmp_path: Path) -> None:
    file = tmp_path / "data.yaml"
    file.write_text(
        "data: {use: bpkd.datasets.instance_scenes.InstanceScenes, size: [64, 64], count: 3}\n"
    )
    out = done("data", "check", file, "--workers", 0)
    assert "0 broken annotations or files, 9 images read" in out
    sheet = tmp_path / "sheet.png"
    done("data", "show", file, "--count", 2, "--out", sheet)
    with Image.open(sheet) as plain:
        assert plain.size[0] > 500
    done("data", "show", file, "augment.crop=[32,48]", "--augmented", "--out", sheet)


def test_instances_are_drawn_on_their_image() -> None:
    class Two:
        classes, palette = ["a", "b"], [(250, 0, 0), (0, 250, 0)]

    image = torch.full((3, 20, 30), 100, dtype=torch.uint8)
    masks = torch.zeros(3, 20, 30).bool()
    masks[0, 2:18, 2:18], masks[1, 5:9, 5:9], masks[2, 2:8, 22:28] = True, True, True
    instances = Instances.of(masks, torch.tensor([0, 1, 0]))
    instances = instances._replace(crowd=torch.tensor([False, False, True]))
    picture, counts = drawn(image, instances, Two(), 1)
    assert picture[19, 29].tolist() == [100, 100, 100]  # no instance
    assert picture[14, 14].tolist() == [190, 40, 40]  # 2/5 of the image, 3/5 of the colour
    assert picture[7, 7].tolist() == [40, 190, 40]  # the smaller on the larger
    assert picture[5, 25].tolist() == [40, 40, 40]  # the crowd
    assert picture[5, 5].min() > 190  # the outline
    assert counts.tolist() == [256 - 16, 16, 36]
    assert (drawn(image, instances, Two(), 0)[0] < 192).all()


def test_prepare_counts_what_is_there(tmp_path: Path) -> None:
    write(tmp_path, content())
    out = done("data", "prepare", "coco", tmp_path)
    assert out.splitlines() == [
        f"ready: nothing needs converting, set data.root={tmp_path}",
        "train2017: 3 images (published: 118287), 0 to be learnt from, 2 classes",
        "val2017: no annotations there",
    ]
    assert done("data", "prepare", "coco", tmp_path / "annotations") == out
    assert "leave out --out" in refused(
        "data", "prepare", "coco", tmp_path, "--out", tmp_path / "x"
    )
    (tmp_path / "train2017/a.png").unlink()
    code, out, _ = bpkd("data", "prepare", "coco", tmp_path)
    assert code == 1 and "not ready" in out and "a.png does not exist" in out
    empty = tmp_path / "empty"
    empty.mkdir()
    (empty / "annotations_trainval2017.zip").touch()
    line = refused("data", "prepare", "coco", empty)
    assert "unpack annotations_trainval2017.zip" in line and "found annotations_trainval" in line


def test_a_file_that_is_cut_off(tmp_path: Path) -> None:
    write(tmp_path, json.dumps(content())[:100])
    assert "it may have been cut off" in refused("data", "check", tmp_path)


def test_a_first_look_before_training(tmp_path: Path) -> None:
    kites = COCO(write(tmp_path, content()), "train", classes=["kite"])  # one class will do
    looked = look(kites, InstanceScenes("val", size=(64, 64), count=2))
    assert looked.sizes == [3, 2] and looked.summaries[0].labelled == 1
    entries = content() | {"annotations": []}
    with pytest.raises(UserError, match="train: no instance in 3 images, so nothing can be learnt"):
        look(COCO(write(tmp_path, entries), "train"))
