"""SIGKILL at random moments and at every rename; resumed, all files are those of a whole run.

The long part (``make test-reliability``) prints how many were tried; KILLS says how many at random.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from tests.reliability.killing import (
    RECIPE,
    differing,
    ended,
    files,
    killed_after,
    killed_at_rename,
    moments,
    new_place,
    start,
    training,
    whole_run,
)

KINDS = {
    "validated": RECIPE,
    "odd end": RECIPE.replace("max_iters: 6", "max_iters: 5"),
    "not validated": RECIPE.replace("count: 3}", "count: 3, val: null}"),
}


def said(place: Path) -> str:
    return (place / "out.txt").read_text()[-1000:]


def renames(folder: Path, recipe: str, **options: bool) -> int:
    place = new_place(folder, "counted", recipe)
    if options:
        assert ended(start(training("seed=1"), place)) == 0, said(place)
    assert ended(start(killed_at_rename(0, False, training(**options)), place)) == 0, said(place)
    return int((place / "renames.txt").read_text())


def try_rename(folder: Path, recipe: str, whole: Path, number: int, after: bool) -> list[str]:
    place = new_place(folder, f"{number}{after}", recipe)
    assert ended(start(killed_at_rename(number, after, training()), place)) == -9
    assert ended(start(training(resume=True), place)) == 0, said(place)
    found = differing(place / "run", whole)
    found += [path.name for path in (place / "run").iterdir() if path.name.startswith(".")]
    shutil.rmtree(place)
    return found


def test_killed_before_and_after_some_files_take_their_place(tmp_path: Path) -> None:
    """The first checkpoint, the student, its row, the best checkpoint (the 9th to the 12th)."""
    whole, _ = whole_run(tmp_path)
    for number, after in ((1, True), (4, False), (9, True), (10, True), (11, True), (12, False)):
        assert try_rename(tmp_path, RECIPE, whole, number, after) == [], (number, after)


@pytest.mark.reliability
@pytest.mark.timeout(3000)
@pytest.mark.parametrize("kind", KINDS)
def test_killed_at_every_rename(tmp_path: Path, kind: str, capsys) -> None:
    whole, _ = whole_run(tmp_path, KINDS[kind])
    count = renames(tmp_path, KINDS[kind])
    points = [(number, after) for number in range(1, count + 1) for after in (False, True)]
    wrong = {p: found for p in points if (found := try_rename(tmp_path, KINDS[kind], whole, *p))}
    with capsys.disabled():
        print(
            f"\nkilled at renames ({kind}): {len(points)} tried, {len(points) - len(wrong)} right"
        )
    assert not wrong


@pytest.mark.reliability
@pytest.mark.timeout(3000)
def test_killed_at_random_moments(tmp_path: Path, capsys) -> None:
    """Up to three times in a row, then resumed to the end."""
    whole, seconds = whole_run(tmp_path)
    tried = int(os.environ.get("KILLS", "100"))
    wrong = {}
    for number, moment in enumerate(moments(tried, seconds, seed=0)):
        place = new_place(tmp_path, f"r{number}")
        killed_after(moment, training(resume=True), place)
        for again in moments(number % 3, seconds, seed=number + 1):
            killed_after(again, training(resume=True), place)
        code = ended(start(training(resume=True), place))
        found = differing(place / "run", whole)
        if code or found:
            wrong[moment] = (code, found, said(place))
        shutil.rmtree(place)
    with capsys.disabled():
        print(f"\nkilled at random: {tried} tried, {tried - len(wrong)} right")
    assert not wrong


def overwritten(folder: Path, old: Path, whole: Path, number: int, after: bool) -> list[str]:
    """Kill the run that is to replace an old one, then go on with whichever counts."""
    place = folder / f"{number}{after}"
    shutil.copytree(old, place)
    before = files(place / "run")
    work = killed_at_rename(number, after, training(overwrite=True))
    assert ended(start(work, place)) == -9
    found = files(place / "run")
    counts = any((place / "run" / name).is_dir() for name in (".bpkd.ready", ".bpkd.moving"))
    untouched = all(found.get(name) == content for name, content in before.items())
    if untouched and not counts:  # the old run stands: its own recipe resumes it
        assert ended(start(training("seed=1", resume=True), place)) == 0, said(place)
        assert ended(start(training(overwrite=True), place)) == 0, said(place)
    else:
        assert ended(start(training(resume=True), place)) == 0, said(place)
    wrong = differing(place / "run", whole)
    shutil.rmtree(place)
    return [name for name in wrong if name not in ("notes.txt", "photos/a.jpg")] + [
        f"{name} is gone" for name in ("notes.txt", "photos/a.jpg") if name not in wrong
    ]


def an_old_run(folder: Path) -> Path:
    place = new_place(folder, "old")
    assert ended(start(training("seed=1"), place)) == 0, said(place)
    (place / "run/notes.txt").write_text("the user's")
    (place / "run/photos").mkdir()
    (place / "run/photos/a.jpg").write_text("the user's, too")
    return place


def test_killed_while_it_replaces_a_run(tmp_path: Path) -> None:
    """Before the new run counts (the 7th), just then, and while its files move."""
    whole, _ = whole_run(tmp_path)
    old = an_old_run(tmp_path)
    for number, after in ((7, True), (8, True), (11, False)):
        assert overwritten(tmp_path, old, whole, number, after) == [], (number, after)


@pytest.mark.reliability
@pytest.mark.timeout(3000)
def test_killed_at_every_rename_while_it_replaces_a_run(tmp_path: Path, capsys) -> None:
    whole, _ = whole_run(tmp_path)
    old = an_old_run(tmp_path)
    count = renames(tmp_path, RECIPE, overwrite=True)
    points = [(number, after) for number in range(1, count + 1) for after in (False, True)]
    wrong = {p: f for p in points if (f := overwritten(tmp_path, old, whole, *p))}
    with capsys.disabled():
        print(f"\nkilled while replacing: {len(points)} tried, {len(points) - len(wrong)} right")
    assert not wrong
