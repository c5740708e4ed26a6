"""bpkd data: what the commands print, write and return."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.commands import bpkd, done, refused
from tests.pictures import save


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Folder's layout: two pairs in train and one in val; "tree" is in val alone."""
    (tmp_path / "classes.csv").write_text("name,r,g,b\nroad,1,2,3\ncar,200,0,0\ntree,0,99,0\n")
    for split, stem, value in (("train", "a", 0), ("train", "b", 1), ("val", "c", 2)):
        save(tmp_path / f"images/{split}/{stem}.png", np.zeros((4, 6, 3)))
        save(tmp_path / f"labels/{split}/{stem}.png", np.full((4, 6), value))
    return tmp_path


def test_help() -> None:
    page = done("data", "--help")
    assert all(f"│ {command} " in page for command in ("check", "show", "prepare"))
    for command, words in {
        "check": ["KEY=VALUE", "--workers", "--json", "--colours"],
        "show": ["--split", "--count", "--out", "--seed", "--augmented"],
        "prepare": ["cityscapes", "pascal-context", "--out"],
    }.items():
        page = done("data", command, "--help")
        assert all(word in page for word in words) and "bpkd data" in page


def test_check_a_folder(photos: Path, tmp_path: Path) -> None:
    out = done("data", "check", photos, "--workers", 0, "--json", tmp_path / "x.json", "--colours")
    lines = out.splitlines()
    assert "warning: never in train: tree" in lines
    assert lines[-2:] == ["0 broken of 3 pairs", f"all numbers: {tmp_path / 'x.json'}"]
    road = next(line for line in lines if "0 road" in line).split()
    assert road == ["0", "road", "50.00", "1", "-", "0"]
    assert ["images", "2", "1"] in [line.split() for line in lines]
    content = json.loads((tmp_path / "x.json").read_text())
    assert [split["images"] for split in content["splits"]] == [2, 1]
    assert (content["not_opened"], content["warnings"]) == ({}, ["never in train: tree"])


def test_check_names_all_that_is_broken(photos: Path) -> None:
    save(photos / "labels/train/a.png", np.full((4, 6), 9))
    (photos / "labels/val/c.png").rename(photos / "labels/val/d.png")
    code, out, _ = bpkd("data", "check", photos, "--workers", 2)
    warned = f"val: label maps without an image: 1, {photos / 'labels/val/d.png'}"
    assert f"warning: {warned}" in out.splitlines()
    broken = [line for line in out.splitlines() if line.startswith("broken: ")]
    assert code == 1 and len(broken) == 2 and "2 broken of 3 pairs" in out
    assert str(photos / "labels/train/a.png") in broken[0] and "value 9" in broken[0]
    assert str(photos / "images/val/c.png") in broken[1]


def test_check_lists_a_split_that_cannot_be_opened(photos: Path) -> None:
    save(photos / "images/test/e.png", np.zeros((4, 6, 3)))
    code, out, err = bpkd("data", "check", photos, "--workers", 0)
    assert (code, err) == (1, "") and "broken: test: " in out and "0 broken of 3 pairs; " in out
    assert "0 broken of 3 pairs\n" in done(
        "data", "check", photos, "data.test=null", "--workers", 0
    )


def test_nothing_is_read_for_a_place_that_cannot_be_written(
    photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read(*_: object) -> None:
        raise AssertionError("read before the place was tried")

    monkeypatch.setattr("bpkd.datasets.checking.opening.Opened.build", read)
    below = photos / "classes.csv/x.json"
    assert f"{below}: cannot be written: Not a dir" in refused(
        "data", "check", photos, "--json", below
    )
    assert "Is a directory" in refused("data", "check", photos, "--json", photos)
    assert "cannot be written" in refused(
        "data", "show", photos, "--out", below.with_suffix(".png")
    )
    assert "no kind of picture" in refused("data", "show", photos, "--out", photos / "s.xyz")


def test_the_list_is_out_before_the_numbers_are_written(
    photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (photos / "labels/val/c.png").unlink()
    monkeypatch.setattr("bpkd.support.files.check_writable", lambda path: None)
    code, out, err = bpkd("data", "check", photos, "--json", photos / "classes.csv/x.json",
                          "--workers", 0)  # fmt: skip
    assert code == 2 and "cannot be written" in err and "broken: val: c: " in out


@pytest.mark.skipif(os.name != "posix", reason="pipes of a shell")
@pytest.mark.parametrize("broken", [0, 1])
def test_a_reader_that_stops_early_changes_no_exit_code(
    photos: Path, monkeypatch: pytest.MonkeyPatch, broken: int
) -> None:
    if broken:
        (photos / "labels/val/c.png").unlink()
    command = [sys.executable, "-m", "bpkd", "data", "check", str(photos), "--workers", "0"]
    out = photos / "x.json"
    # Python's buffer, which is emptied at the end, is the harder case.
    monkeypatch.delenv("PYTHONUNBUFFERED", raising=False)
    with subprocess.Popen([*command, "--json", str(out)], stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE) as process:  # fmt: skip
        assert process.stdout is not None and process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait() == broken
    assert out.is_file()


def test_check_a_recipe() -> None:
    out = done("data", "check", "demo/plain", "data.count=2", "data.size=[32,32]", "--workers", 0)
    assert "9 person" in out and "0 broken of 6 pairs" in out


def test_show(photos: Path, tmp_path: Path) -> None:
    sheet = tmp_path / "sheet.png"
    assert done("data", "show", photos, "--out", sheet) == f"2 of 2 images: {sheet}\n"
    whole = sheet.read_bytes()
    done("data", "show", photos, "augment.crop=[8,8]", "--augmented", "--out", sheet)
    assert sheet.read_bytes() != whole
    scenes = ["demo/plain", "data.size=[32,32]", "--count", 1, "--split", "val"]
    assert "1 of 60 images" in done("data", "show", *scenes, "--out", sheet)
    first = sheet.read_bytes()
    done("data", "show", *scenes, "--out", sheet, "--seed", 1)
    assert sheet.read_bytes() != first


def test_show_leaves_out_what_is_broken(photos: Path, tmp_path: Path) -> None:
    sheet = tmp_path / "sheet.JPG"
    (photos / "images/train/a.png").write_bytes(b"no image")
    save(photos / "images/train/missing.png", np.zeros((4, 6, 3)))
    lines = done("data", "show", photos, "--out", sheet).splitlines()
    assert lines[0].startswith("1 make no pair (bpkd data check lists them), e.g. ")
    assert lines[1].startswith(f"left out: {photos / 'images/train/a.png'} cannot be read")
    assert lines[2] == f"1 of 2 images: {sheet}"
    with Image.open(sheet) as picture:
        assert picture.format == "JPEG"
    (photos / "images/train/b.png").write_bytes(b"")
    assert "none of the 2 images can be shown: " in refused("data", "show", photos, "--out", sheet)
    (photos / "labels/val/c.png").unlink()
    assert "has no whole pair: " in refused("data", "show", photos, "--split", "val")


def test_prepare(tmp_path: Path) -> None:
    ids = tmp_path / "gtFine/train/ulm/ulm_0_0_gtFine_labelIds.png"
    save(ids, [[7, 8]])
    (tmp_path / "leftImg8bit").mkdir()
    out = done("data", "prepare", "cityscapes", tmp_path, "--workers", 0)
    assert "1 label maps written" in out and f"data.root={tmp_path}" in out
    assert ids.with_name("ulm_0_0_gtFine_labelTrainIds.png").is_file()
    save(tmp_path / "gtFine/val/ulm/ulm_0_1_gtFine_labelIds.png", [[77]])
    code, out, _ = bpkd("data", "prepare", "cityscapes", tmp_path, "--workers", 0)
    assert code == 1 and "broken: " in out and "the id 77" in out


def test_bad_arguments(photos: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for arguments, words in (
        (["check", tmp_path / "none"], "no such recipe"),
        (["check", tmp_path / "empty"], "has no split"),
        (["check", photos, "data.clases=[a]"], "did you mean 'classes'?"),
        (["check", photos, "data.use=bpkd.datasets.camvid.CamVid"], "is no folder"),
        (["show", photos, "--split", "tset"], "tset"),
        (["show", photos, "--kernel-size", "2"], "kernel_size is 2"),
        (["prepare", "citiscapes", photos], "did you mean 'cityscapes'?"),
        (["prepare", "cityscapes", photos], "cityscapes-dataset.com"),
    ):
        assert words in refused("data", *arguments)
    assert not (tmp_path / "sheet.png").exists()


def test_tables_in_a_real_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm-256color")
    code, out, _ = bpkd(
        "data", "check", "demo/plain", "data.count=2", "data.size=[32,48]", "--workers", 0
    )
    assert code == 0 and "\x1b[1m" in out and "\\x1b" not in out
