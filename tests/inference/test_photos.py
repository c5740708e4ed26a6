"""Which photos are segmented, and what becomes of those that cannot be."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bpkd.errors import UserError
from bpkd.inference.photos import jobs
from bpkd.inference.prediction import predict
from bpkd.support.files import replacing
from tests.pictures import save
from tests.runs import run


def names(place: Path, out: Path) -> list[str]:
    return [name for _, name in jobs([place], out)]


def test_only_pictures_are_photos(tmp_path: Path) -> None:
    for name in ("b.jpg", "a.png", "sub/c.tif"):
        save(tmp_path / name, np.zeros((2, 2, 3)))
    for name in ("x.h5", "x.mpg", "x.mp4", "x.txt", "x.eps", "x.grib", ".y.png"):
        (tmp_path / name).write_bytes(b"\x89HDF\r\n\x1a\n")
    assert names(tmp_path, tmp_path / "out") == ["a.png", "b.png", "sub/c.png"]


def test_two_photos_of_one_stem_both_get_a_result(tmp_path: Path) -> None:
    for name in ("a.jpg", "a.png", "b.jpg"):
        save(tmp_path / name, np.zeros((2, 2, 3)))
    assert names(tmp_path, tmp_path / "out") == ["a.jpg.png", "a.png.png", "b.png"]
    twice = jobs([tmp_path, tmp_path / "a.jpg"], tmp_path / "out")
    assert len(twice) == 3  # the same file is one photo
    save(tmp_path / "other/a.jpg", np.zeros((2, 2, 3)))
    with pytest.raises(UserError, match="would both be written to a"):
        jobs([tmp_path / "a.jpg", tmp_path / "other/a.jpg"], tmp_path / "out")


def test_results_are_no_photos(tmp_path: Path) -> None:
    for name in ("a.png", "out/labels/a.png", "out/overlays/a.png", "labels/a.png"):
        save(tmp_path / name, np.zeros((2, 2, 3)))
    assert names(tmp_path, tmp_path / "out") == ["a.png", "labels/a.png"]
    save(tmp_path / "overlays/a.png", np.zeros((2, 2, 3)))
    assert "labels/a.png" not in names(tmp_path, tmp_path)


def test_label_maps_of_a_data_set_are_not_written_over(tmp_path: Path) -> None:
    for part in ("images", "labels"):
        save(tmp_path / part / "train/a.png", np.zeros((2, 2)))
    with pytest.raises(UserError, match=r"a.png is there and no result"):
        jobs([tmp_path / "images"], tmp_path)


def test_a_damaged_photo_does_not_stop_the_others(recipe: Path, tmp_path: Path) -> None:
    folder = run(recipe, "run", "max_iters=0")
    long = "n" * 251  # the longest name that a file system takes, with its ending
    for name in ("a", "b", long):
        save(tmp_path / f"in/{name}.png", np.full((40, 50, 3), 90))
    damaged = tmp_path / "in/b.png"
    damaged.write_bytes(damaged.read_bytes()[:60])
    done = predict(folder, [tmp_path / "in"], tmp_path / "out")
    assert done.count == 2 and len(done.failures) == 1
    assert done.failures[0].startswith(f"{damaged} cannot be read")
    written = sorted(file.stem for file in (tmp_path / "out/labels").iterdir())
    assert written == ["a", long]
    assert Image.open(tmp_path / "out/overlays/a.png").size == (50, 40)
    with pytest.raises(UserError, match="more than max_pixels 100"):
        predict(folder, [tmp_path / "in/a.png"], tmp_path / "out", max_pixels=100)


def test_a_long_name_has_a_temporary_name(tmp_path: Path) -> None:
    for name in ("n" * 255, "\N{SNOWMAN}" * 85):
        with replacing(tmp_path / name) as temporary:
            temporary.write_text("whole")
        assert (tmp_path / name).read_text() == "whole"
