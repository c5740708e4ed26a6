"""What is said before training, what is refused, and what label values tell together."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from bpkd.datasets.checking import first_look
from bpkd.datasets.checking.first_look import look
from bpkd.datasets.checking.groups import lines
from bpkd.datasets.checking.opening import opened
from bpkd.datasets.checking.whole import check_all
from bpkd.datasets.folder import Folder
from bpkd.errors import UserError
from bpkd.runs.data import measured_range
from tests.commands import bpkd, refused
from tests.pictures import save
from tests.runs import TINY

IMAGE = np.arange(4 * 6 * 3).reshape(4, 6, 3)
HALVES = np.repeat([[0], [1]], 12, 0).reshape(4, 6)


def folder(root: Path, labels: Any, count: int = 3, split: str = "train", **options: Any) -> Folder:
    """Pairs of one image each; the label map of each is what a list or array says."""
    for index in range(count):
        values = labels[index] if isinstance(labels, list) else labels
        save(root / f"images/{split}/{index}.png", IMAGE)
        save(root / f"labels/{split}/{index}.png", values)
    return Folder(root, split=split, **{"classes": ["background", "object"], **options})


def test_what_is_in_order_leaves_nothing_to_say(tmp_path: Path) -> None:
    looked = look(folder(tmp_path, HALVES), folder(tmp_path, HALVES, split="val"))
    assert not looked.remarks and looked.value_range is None
    assert looked.summaries[0].shares() == [0.5, 0.5]


def test_masks_of_0_and_255(tmp_path: Path) -> None:
    expected = (
        "never in train: object; 255 is ignore_index and covers 50.0 % of the pixels: if it stands "
        "for object, set data.label_map={255: 1}"
    )
    assert look(folder(tmp_path, HALVES * 255)).remarks == [expected]
    classes = "data.classes=[background,object]"
    assert expected in check_all(opened(str(tmp_path), [classes])).warnings
    assert not look(folder(tmp_path, HALVES * 255, label_map={255: 1})).remarks


def test_thin_masks_of_0_and_255_among_many(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    thin = np.zeros((4, 6))
    thin[0, 0] = 255
    monkeypatch.setattr(first_look, "_PAIRS", 4)
    (remark,) = look(folder(tmp_path, thin, count=6)).remarks
    assert remark.startswith("train: in 4 pairs looked at there is no object; 255 is ignore_index")
    assert "4.2 %" in remark and remark.endswith("set data.label_map={255: 1}")


def test_rare_classes_of_a_large_set_are_no_remark(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = folder(tmp_path, HALVES, count=6, classes=["a", "b", "c", "d"])
    assert look(data).remarks == ["never in train: c, d"]
    monkeypatch.setattr(first_look, "_PAIRS", 4)
    assert not look(data).remarks


def test_label_maps_that_count_from_1(tmp_path: Path) -> None:
    (remark,) = look(folder(tmp_path, HALVES + 1, classes=["a", "b", "c"])).remarks
    assert remark.endswith("if the label maps count from 1, set data.label_map={1: 0, 2: 1, ...}")


def test_an_ignore_index_that_is_a_class(tmp_path: Path) -> None:
    (remark,) = look(folder(tmp_path, HALVES, ignore_index=0)).remarks
    assert "ignore_index 0 is the index of background, too" in remark


def test_one_class_is_refused(tmp_path: Path) -> None:
    data = folder(tmp_path, (1 - HALVES) * 255, classes=["crack"])
    with pytest.raises(UserError, match=r"one class, crack.*data.classes=.background,crack."):
        look(data)
    warnings = check_all(opened(str(tmp_path), ["data.classes=[crack]"])).warnings
    assert any(warning.startswith("there is one class, crack") for warning in warnings)
    both = folder(tmp_path, (1 - HALVES) * 255, label_map={255: 0, 0: 1})
    assert look(both).summaries[0].shares() == [0.5, 0.5]  # as the line says


def test_labels_that_are_all_ignored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nothing = np.full((4, 6), 255)
    with pytest.raises(UserError, match=r"train: no pixel of 3 .* nothing can be learnt from it"):
        look(folder(tmp_path, nothing))
    good, val = folder(tmp_path, HALVES), folder(tmp_path, nothing, split="val")
    with pytest.raises(UserError, match=r"val: no pixel of 3 .* data.val=null"):
        look(good, val)
    # Labels that only the last of many images has are found.
    monkeypatch.setattr(first_look, "_PAIRS", 1)
    assert look(folder(tmp_path / "b", [nothing] * 5 + [HALVES], count=6)).summaries[0].labelled


def test_a_broken_pair_is_found_before_training(tmp_path: Path) -> None:
    data = folder(tmp_path, [HALVES, HALVES, HALVES * 128])
    with pytest.raises(UserError, match=r"label value 128 \(12 pixels\).*label_map: {128: 1}"):
        look(data)


def test_names_that_command_the_terminal(tmp_path: Path) -> None:
    for name in ("\x1b[31mroad", "ro\0ad", "ro\u202ead", "ro\nad"):
        with pytest.raises(UserError, match="control character") as caught:
            folder(tmp_path, HALVES, classes=["a", name])
        assert str(caught.value).isprintable()


def test_training_looks_refuses_and_records(tmp_path: Path) -> None:
    for split in ("train", "val"):
        folder(tmp_path, HALVES * 255, split=split)
        for file in (tmp_path / f"images/{split}").iterdir():
            Image.fromarray((IMAGE[..., 0].astype(np.uint16)) << 4).save(file)
    recipe = tmp_path / "r.yaml"
    data = f"data: {{root: {tmp_path}, classes: [background, object]}}\n"
    lines = [line for line in TINY.splitlines() if not line.startswith("data:")]
    recipe.write_text(
        "\n".join(lines) + "\n" + data.replace("{", "{use: bpkd.datasets.folder.Folder, ", 1)
    )
    place = tmp_path / "run"
    code, _, err = bpkd("train", recipe, f"run={place}", "max_iters=1", "--quiet")
    said = [line for line in err.splitlines() if line.startswith("warning: ")]
    assert code == 0 and len(said) == 2, err
    assert "255 is ignore_index" in said[0] and "data.value_range" in said[1]
    kept = json.loads((place / "data.json").read_text())
    assert kept["remarks"] == [line.removeprefix("warning: ") for line in said]
    assert kept["looked_at"][0]["of"] == 3 and measured_range(place) == (0, 4095)
    line = refused("train", recipe, f"run={tmp_path / 'b'}", "data.classes=[object]", "--quiet")
    assert "there is one class, object" in line and not (tmp_path / "b").exists()


def test_validation_is_read_in_the_range_of_training(tmp_path: Path) -> None:
    sets = []
    for split, bits in (("train", 4), ("val", 2)):
        folder(tmp_path, HALVES, split=split)
        for file in (tmp_path / f"images/{split}").iterdir():
            Image.fromarray(np.full((4, 6), 255 << bits, np.uint16)).save(file)
        sets.append(Folder(tmp_path, split=split, classes=["background", "object"]))
    assert sets[1].reading.value_range == (0, 1023)
    assert look(*sets).value_range == (0, 4095) == sets[1].reading.value_range


# Groups -------------------------------------------------------------------------------------------


def test_pairs_that_are_broken_alike(tmp_path: Path) -> None:
    folder(tmp_path, [HALVES * value for value in (1, 7, 8, 7, 9, 1)], count=6)
    (tmp_path / "images/train/0.png").write_bytes(b"")
    check = ("data", "check", tmp_path, "data.classes=[a,b,c,d]", "--workers", "0")
    code, out, _ = bpkd(*check)
    broken = [line for line in out.splitlines() if line.startswith("broken: ")]
    assert code == 1 and len(broken) == 5, out
    assert broken[1].startswith("broken: train: 4 pairs alike, --all lists them: label values")
    assert "7, 8, 9; expected 0 to 3" in broken[1]
    assert broken[1].endswith(
        "label_map: {7: 1, 8: 2, 9: 3}, where they stand for the classes in this order"
    )
    code, out, _ = bpkd(*check, "--all")
    assert len([line for line in out.splitlines() if line.startswith("broken: ")]) == 5
    assert "alike" not in out


def test_a_group_says_its_reason_once(tmp_path: Path) -> None:
    data = folder(tmp_path, [np.zeros((2, 2 + index)) for index in range(6)], count=6)
    summary = check_all(opened(str(tmp_path), ["data.classes=[a,b]"])).summaries[0]
    told = list(lines("train", summary.problems, data, every=False))
    assert len(told) == 4 and told[0].startswith("broken: train: 6 pairs alike")
    assert "FILE is WxH and its label map FILE is WxH" in told[0]


def test_near_colours_are_named(tmp_path: Path) -> None:
    folder(tmp_path, HALVES)
    classes = "data.classes=[{name: oven, color: [9, 80, 61]}, {name: road, color: [10, 80, 62]}]"
    (warning,) = check_all(opened(str(tmp_path), [classes])).warnings
    assert warning.startswith("colours that the eye hardly tells apart in pictures: oven and road")
