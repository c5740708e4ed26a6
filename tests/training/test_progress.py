"""What a person sees while a run goes: lines in a file, a bar in a terminal."""

from __future__ import annotations

import io
import re
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bpkd.training import progress
from bpkd.training.progress import Bar, Progress, lines_or_bar
from tests.runs import rows, run


def test_into_a_file_go_plain_lines(recipe: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = run(recipe, "run", "accumulate=2", progress=True)
    out, err = capsys.readouterr()
    assert err == ""
    assert "\r" not in out and "\x1b" not in out and "?" not in out
    lines = out.splitlines()
    assert lines[0] == "batch: 2 a step x 2 accumulated = 4"
    first = r"iteration 1 of 6 \(17%\): loss [\d.]+, [\d.e+]+ images/s, .* left"
    assert re.fullmatch(first, lines[1])
    assert re.fullmatch(r"iteration 6 of 6 \(100%\): loss [\d.]+, [\d.e+]+ images/s", lines[-2])
    told = [line for line in lines if "validation" in line]
    scores = [float(row["mIoU"]) for row in rows(folder / "metrics.csv")]
    assert [line.partition(":")[0] for line in told] == [
        f"iteration {number}, validation" for number in (2, 4, 6)
    ]
    for line, score in zip(told, scores, strict=True):
        assert f": mIoU {100 * score:.1f}, " in line and "trimap mIoU@1 " in line
    best = max(range(3), key=lambda index: scores[index])
    assert told[best].endswith("(the best so far)")
    assert told[0].endswith("(the best so far)")


def test_lines_come_soon_and_then_rarely() -> None:
    lines = Progress(SimpleNamespace(), 2)  # type: ignore[arg-type]
    now, said = 0.0, [0.0]
    while now < 600:
        now += lines.pause(now)
        said.append(now)
    assert said[:4] == [0, 5, 10, 20]
    assert 12 < len(said) < 20


class Terminal(io.StringIO):
    """What is written to a terminal."""

    def isatty(self) -> bool:
        return True


def test_in_a_terminal_there_is_a_bar(recipe: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setattr(Bar, "pause", lambda *_: 0.0)
    run(recipe, "run", progress=True)
    shown = terminal.getvalue()
    assert re.search(r"training 100%\|\S+\| 6/6 \[00:\d\d, loss [\d.]+, \S+ images/s\]", shown)
    assert re.search(r"validation +\d+%\|", shown)
    assert len(re.findall(r"iteration \d, validation: mIoU [\d.]+, ", shown)) == 3
    assert shown.endswith("\n")


def test_the_rest_is_reckoned_with_its_validations() -> None:
    kept: Any = SimpleNamespace(validate_every=50, best_by="mIoU", best=0.0, iteration=100)
    lines = Progress(kept, 4)
    lines.recent.extend([(0.0, 0), (10.0, 100)])  # 10 iterations a second
    trainer: Any = SimpleNamespace(
        max_steps=200, global_step=100, callback_metrics={}, world_size=2
    )
    assert lines.left(trainer) == pytest.approx(10.0)
    lines.validation = 30.0
    assert lines.left(trainer) == pytest.approx(10.0 + 2 * 30.0)
    assert lines.numbers(trainer) == "80 images/s"


def test_validation_does_not_count_as_training(monkeypatch: pytest.MonkeyPatch) -> None:
    kept: Any = SimpleNamespace(validate_every=50, best_by="mIoU", best=0.5, iteration=100)
    lines, now = Progress(kept, 4), 10.0
    lines.disable()
    lines.recent.extend([(0.0, 0), (10.0, 100)])
    monkeypatch.setattr(progress.time, "monotonic", lambda: now)
    lines.on_validation_start(None, None)
    now = 40.0
    lines.on_validation_end(None, None)
    assert (lines.validation, lines.rate()) == (30.0, 10.0)
    assert lines.recent[-1] == (40.0, 100)


def test_which_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    kept: Any = SimpleNamespace()
    monkeypatch.setattr(sys, "stderr", Terminal())
    assert type(lines_or_bar(kept, 1)) is Bar
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    assert type(lines_or_bar(kept, 1)) is Progress
