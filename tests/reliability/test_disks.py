"""Full disks, and mistakes of the command line that used to end in a traceback."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.commands import refused
from tests.reliability.killing import RECIPE, differing, ended, files, new_place, start, training
from tests.reliability.killing import whole_run as whole_of


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A folder to mount small disks on."""
    folder = tmp_path / "disk"
    folder.mkdir()
    yield folder
    subprocess.run(["umount", folder], check=False, capture_output=True)


def mounted(folder: Path, size: int) -> None:
    subprocess.run(["umount", folder], check=False, capture_output=True)
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}k", "tmpfs", folder]
    try:
        done = subprocess.run(command, check=False, capture_output=True, text=True)
    except OSError as error:
        pytest.skip(f"this machine cannot mount: {error}")
    if done.returncode:
        pytest.skip(f"this machine does not let us mount: {done.stderr.strip()}")


def tried(tmp_path: Path, disk: Path, whole: Path, size: int) -> str:
    """Train on a disk of so many KiB; then, on one with room, go on. What was wrong, or nothing."""
    mounted(disk, size)
    place = tmp_path / str(size)
    place.mkdir()
    (place / "r.yaml").write_text(RECIPE)
    (place / "run").symlink_to(disk / "run")
    (disk / "run").mkdir()
    code = ended(start(training(), place))
    said = (place / "out.txt").read_text()
    if code not in (0, 2) or "Traceback" in said or (code == 2 and said.count("\n") != 1):
        return f"exit {code}: {said[-500:]}"
    subprocess.run(["mount", "-o", "remount,size=64m", disk], check=True)
    if ended(start(training(resume=True), place)):
        return f"resume: {(place / 'out.txt').read_text()[-500:]}"
    return " ".join(differing(place / "run", whole))


def test_disks_that_are_too_small(tmp_path: Path, disk: Path) -> None:
    whole, _ = whole_of(tmp_path)
    for size in (4, 24, 44):
        assert tried(tmp_path, disk, whole, size) == "", size


@pytest.mark.reliability
@pytest.mark.timeout(3000)
def test_disks_of_growing_sizes(tmp_path: Path, disk: Path, capsys) -> None:
    whole, _ = whole_of(tmp_path)
    sizes = range(4, 104, 4)
    wrong = {size: found for size in sizes if (found := tried(tmp_path, disk, whole, size))}
    with capsys.disabled():
        print(f"\nfull disks: {len(sizes)} tried, {len(sizes) - len(wrong)} right")
    assert not wrong


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_the_disk_of_the_log_is_full(tmp_path: Path) -> None:
    whole, _ = whole_of(tmp_path)
    place = new_place(tmp_path, "log")

    def work() -> None:
        from bpkd.cli import main

        full = os.open("/dev/full", os.O_WRONLY)
        os.dup2(full, 1)
        sys.argv = ["bpkd", "train", "r.yaml", "run=run"]
        main()

    assert ended(start(work, place)) == 2
    assert (place / "out.txt").read_text().count("bpkd: ") == 1
    assert differing(place / "run", whole) == ["environment.json"]


def test_a_read_only_run_is_evaluated(tmp_path: Path, disk: Path) -> None:
    whole, _ = whole_of(tmp_path)
    mounted(disk, 1000)
    shutil.copytree(whole, disk / "run")
    subprocess.run(["mount", "-o", "remount,ro", disk], check=True)

    def work() -> None:
        from bpkd.cli import main

        sys.argv = ["bpkd", "evaluate", str(disk / "run")]
        main()

    before = files(disk / "run")
    assert ended(start(work, tmp_path)) == 0
    assert "not kept for the next time" in (tmp_path / "out.txt").read_text()
    assert files(disk / "run") == before


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (["seed=4294967295"], ""),
        (["seed=10000000000000"], "seed: expected"),
        (["schedule.power=-1"], "schedule.power: expected at least 0"),
        (["devices=2000"], "devices=2000: there is no GPU"),
        (["nodes=99"], "nodes=99: this command was started on one machine alone"),
        (["losses={'': {use: bpkd.losses.kd.KD}}"], "cannot be a loss's name"),
        (["losses={a.b: {use: bpkd.losses.kd.KD}}"], "cannot be a loss's name"),
        (["losses={keys: {use: bpkd.losses.kd.KD}}"], "cannot be a loss's name"),
        (["max_iters=" + "1" * 100_000], "override"),
        (["data.root=" + "[" * 3000], "override"),
        (["run=" + "x" * 256], "File name too long"),
    ],
)
def test_mistakes_are_one_line(tmp_path: Path, monkeypatch, change, words: str) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("NODE_RANK", raising=False)
    Path("r.yaml").write_text(RECIPE)
    teacher = ["teacher={use: tests.reliability.killing.Plain}"] if "losses" in change[0] else []
    if not words:
        place = new_place(tmp_path, "seeds")
        assert ended(start(training(*change, "max_iters=2"), place)) == 0
        return
    said = refused("train", "r.yaml", "--quiet", *teacher, *change)
    assert words in said and len(said) < 600
    assert sorted(os.listdir()) == ["r.yaml"]


@pytest.mark.parametrize(
    "text",
    ["a: " * 3000, "[" * 3000, "- " * 100_000, "a: " + "1" * 100_000, "a: ${", "a: ${b", "\0"],
)
def test_recipes_that_cannot_be_read(tmp_path: Path, text: str) -> None:
    file = tmp_path / "r.yaml"
    file.write_text(text)
    for command in (["recipe"], ["train"], ["data", "check"]):
        assert refused(*command, file).startswith(f"bpkd: {file}: ")


def test_a_picture_is_no_folder(tmp_path: Path, monkeypatch) -> None:
    whole, _ = whole_of(tmp_path)
    monkeypatch.chdir(tmp_path)
    assert refused("compare", whole, "--out", ".").startswith("bpkd: .: cannot be written")
