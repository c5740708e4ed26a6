"""Files are whole or not there."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from bpkd.errors import UserError
from bpkd.support.files import replacing


def test_a_file_is_replaced_as_a_whole(tmp_path: Path) -> None:
    file = tmp_path / "new/folder/a.txt"
    for text in ("first", "second"):
        with replacing(file) as temporary:
            temporary.write_text(text)
            assert not file.exists() or file.read_text() == "first"
        assert file.read_text() == text
    assert list(file.parent.iterdir()) == [file]


@pytest.mark.parametrize("error", [RuntimeError("broken"), KeyboardInterrupt()])
def test_an_error_leaves_the_old_file(tmp_path: Path, error: BaseException) -> None:
    file = tmp_path / "a.txt"
    file.write_text("old")
    with pytest.raises(type(error)), replacing(file) as temporary:
        temporary.write_text("half of the n")
        raise error
    assert file.read_text() == "old"
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_full_disk_leaves_the_old_file(tmp_path: Path) -> None:
    file = tmp_path / "a.bin"
    file.write_text("old")
    (tmp_path / f".a.bin.{os.getpid()}.part").symlink_to("/dev/full")
    with pytest.raises(UserError) as caught, replacing(file) as temporary:
        temporary.write_text("new")
    text = str(caught.value)
    assert text.startswith(f"{file}: cannot be written: ") and "\n" not in text
    assert file.read_text() == "old"
    assert list(tmp_path.iterdir()) == [file]


def test_a_folder_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("")
    with pytest.raises(UserError, match="cannot be written"), replacing(tmp_path / "a/b") as file:
        file.write_text("")
