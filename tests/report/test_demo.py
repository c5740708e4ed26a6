"""The demo from end to end, with two iterations a run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from bpkd import train
from bpkd.report import demo as module

SHORT = ("max_iters=2", "evaluation.every=1", "batch_size=2", "data.count=3", "data.size=[48,64]")


@pytest.mark.slow
def test_it_ends_with_the_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def short(recipe: str, *changes: str, **options: Any) -> Path:
        return train(recipe, *changes, *SHORT, "augment.crop=[32,32]", progress=False, **options)

    monkeypatch.setattr(module, "train", short)
    console = Console(record=True, width=200)
    page = module.demo(tmp_path / "demo", 0, console)
    assert page == tmp_path / "demo" / "report.html" and page.is_file()
    assert "report, for any browser" in console.export_text().splitlines()[-1]
    text = page.read_text()
    assert "Bold: the best of plain, cwd, bpkd" in text  # the teacher is beside them


OBJECTS = ("max_iters=2", "batch_size=2", "data.count=3", "data.size=[48,64]")


@pytest.mark.slow
def test_of_objects(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def short(recipe: str, *changes: str, **options: Any) -> Path:
        return train(recipe, *changes, *OBJECTS, progress=False, **options)

    monkeypatch.setattr(module, "train", short)
    console = Console(record=True, width=200)
    page = module.demo(tmp_path / "demo", 0, console, task="instance")
    shown = console.export_text()
    assert "medium from 24², large from 48² pixels" in shown and "AP" in shown
    text = page.read_text()
    assert "<h2>Classes</h2>" in text and "<h2>Confusion</h2>" not in text
    assert (tmp_path / "demo/compare.png").is_file()
