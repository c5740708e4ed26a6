"""Records: whole or absent, whoever writes them and however that ends."""

from __future__ import annotations

import errno
import os
import signal
import time
from pathlib import Path

import numpy as np
import pytest

from bpkd import UserError
from bpkd.training.teacher_cache.records import HEAD, Records, count

ABOUT = {"tensor": "logits"}
SIZE = 40_000


def content(number: int, variant: int = 0) -> bytes:
    """What belongs into a record; writers of another variant are other runs."""
    return np.random.default_rng([number, variant]).bytes(SIZE)


def opened(folder: Path) -> Records:
    return Records(folder / "logits.records", ABOUT, SIZE)


def test_what_was_written_is_read(tmp_path: Path) -> None:
    opened(tmp_path).write(5, 9, content(5))
    records = opened(tmp_path)
    assert records.read(5, 9) == content(5)
    assert [records.read(number, 9) for number in (0, 4, 6, 10**6)] == [None] * 4
    assert count(records.path).whole == count(records.path, thorough=True).whole == 1
    assert records.allocated() < 3 * SIZE  # the hole before it takes no room


def test_a_record_of_another_image_is_not_served(tmp_path: Path) -> None:
    records = opened(tmp_path)
    records.write(0, 9, content(0))
    assert records.read(0, 8) is None
    assert records.other_image


def test_records_do_not_change_places(tmp_path: Path) -> None:
    records = opened(tmp_path)
    records.write(0, 9, content(0))
    record = os.pread(records.file, records.whole, HEAD)
    os.pwrite(records.file, record, HEAD + records.whole)
    assert records.read(1, 9) is None


@pytest.mark.parametrize("lost", [1, 100, SIZE - 1, SIZE, SIZE + 10])
def test_a_torn_record_is_absent(tmp_path: Path, lost: int) -> None:
    records = opened(tmp_path)
    records.write(0, 9, content(0))
    records.write(1, 9, content(1))
    os.truncate(records.path, HEAD + 2 * records.whole - lost)
    assert records.read(0, 9) == content(0)
    assert records.read(1, 9) is None
    found = count(records.path, thorough=True)
    assert (found.whole, found.torn) == (1, 1)
    records.write(1, 9, content(1))
    assert records.read(1, 9) == content(1)


def test_a_disk_that_fills_in_the_middle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    records, pwrite = opened(tmp_path), os.pwrite

    def half(file: int, data: bytes, place: int) -> int:
        if len(data) <= SIZE // 2:
            raise OSError(errno.ENOSPC, "No space left on device")
        return pwrite(file, data[: len(data) - SIZE // 2], place)

    with monkeypatch.context() as patched, pytest.raises(OSError, match="No space"):
        patched.setattr(os, "pwrite", half)
        records.write(3, 9, content(3))
    assert records.read(3, 9) is None
    records.write(3, 9, content(3))
    assert records.read(3, 9) == content(3)


def test_a_writer_is_killed_again_and_again(tmp_path: Path) -> None:
    """Whatever SIGKILL leaves of a record, it is the right one or none."""
    records, seen = opened(tmp_path), 0
    for attempt in range(8):
        child = os.fork()
        if child == 0:
            own = opened(tmp_path)
            for number in range(10_000):
                own.write(number % 50, 9, content(number % 50))
            os._exit(0)
        time.sleep(0.02 + 0.01 * attempt)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        for number in range(50):
            found = records.read(number, 9)
            assert found in (None, content(number))
            seen += found is not None
    assert seen


def test_two_writers_and_a_reader_at_once(tmp_path: Path) -> None:
    """Two runs may differ in the last bits: a reader gets one's record or the other's, or none."""
    records, children = opened(tmp_path), []
    for variant in (0, 1):
        if (child := os.fork()) == 0:
            own = opened(tmp_path)
            for turn in range(200):
                own.write(turn % 4, 9, content(turn % 4, variant))
            os._exit(0)
        children.append(child)
    wanted = [(content(n, 0), content(n, 1)) for n in range(4)]
    seen = 0
    while any(os.waitpid(child, os.WNOHANG)[0] == 0 for child in children[:1]):
        for number in range(4):
            found = records.read(number, 9)
            assert found is None or found in wanted[number]
            seen += found is not None
    os.waitpid(children[1], 0)
    assert seen
    assert all(records.read(number, 9) in wanted[number] for number in range(4))


def test_other_records_are_refused(tmp_path: Path) -> None:
    opened(tmp_path)
    with pytest.raises(UserError, match=r"holds other records than this run writes"):
        Records(tmp_path / "logits.records", ABOUT, SIZE + 1)


def test_a_head_that_was_never_written_is_written(tmp_path: Path) -> None:
    (tmp_path / "logits.records").touch()
    opened(tmp_path).write(0, 9, content(0))
    assert count(tmp_path / "logits.records").whole == 1
