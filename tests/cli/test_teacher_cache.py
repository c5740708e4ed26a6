"""``bpkd cache``: listing, checking, taking away; and ``--teacher-cache``."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.commands import bpkd, done, refused
from tests.training.teacher_cache.test_runs import TAUGHT


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    (tmp_path / "taught.yaml").write_text(TAUGHT)
    folder = tmp_path / "cache"
    for seed in (0, 1):
        run = [f"run={tmp_path / 'run'}", f"seed={seed}", "max_iters=2", "--overwrite", "--quiet"]
        done("train", str(tmp_path / "taught.yaml"), *run, "--teacher-cache", str(folder))
    return folder


def released(cache: Path) -> list[str]:
    """The caches' names, once no run of this process uses them any more."""
    from bpkd.training.teacher_cache import folders

    while folders._held:
        os.close(folders._held.pop())
    return sorted(folder.name for folder in cache.iterdir())


def test_listed_checked_and_taken_away(cache: Path) -> None:
    told = done("cache", str(cache))
    assert told.count("in use") == 2
    assert "features.head 4, logits 4" in told
    names = [folder.name for folder in cache.iterdir()]
    assert f"{cache / names[0]}: a run uses it" in refused("cache", str(cache), "--prune", names[0])
    first, second = released(cache)
    assert "torn" not in done("cache", str(cache), "--check")
    file = cache / first / "logits.records"
    os.truncate(file, file.stat().st_size - 1)
    code, torn, _ = bpkd("cache", str(cache), "--check")
    assert code == 1
    assert "features.head 4, logits 3, 1 torn" in torn
    assert f"taken away: {cache / first}" in done("cache", str(cache), "--prune", first[:6])
    assert [folder.name for folder in cache.iterdir()] == [second]
    done("cache", str(cache), "--unused", "1")
    os.utime(cache / second / "cache.json", (0, 0))
    assert "taken away" in done("cache", str(cache), "--unused", "1")
    assert "no teacher cache is there" in refused("cache", str(cache))


def test_mistakes_are_told(cache: Path, tmp_path: Path) -> None:
    released(cache)
    assert "no cache is called nothing" in refused("cache", str(cache), "--prune", "nothing")
    assert "no such folder" in refused("cache", str(tmp_path / "none"))
    assert len(list(cache.iterdir())) == 2


def test_another_process_holds_its_cache(cache: Path) -> None:
    (name, _) = released(cache)
    hold = "import sys, time; from pathlib import Path\n"
    hold += "from bpkd.training.teacher_cache.folders import used\n"
    hold += f"used(Path({str(cache / name)!r})); print('held', flush=True); sys.stdin.read()\n"
    with subprocess.Popen(
        [sys.executable, "-c", hold],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"held\n"
        assert "a run uses it" in refused("cache", str(cache), "--prune", name)
        other.kill()
    done("cache", str(cache), "--prune", name)
