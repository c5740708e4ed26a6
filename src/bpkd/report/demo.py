"""The main job on the embedded data: a teacher, and students that learn from it, or do not."""

from __future__ import annotations

import time
from pathlib import Path

from rich.console import Console

from bpkd.report import table
from bpkd.report.compare import compare, picture
from bpkd.report.html.report import report
from bpkd.training.run import train

STUDENTS = ("plain", "cwd", "bpkd")
TAUGHT = ("cwd", "bpkd")


def demo(out: Path, seed: int, console: Console, *overrides: str) -> Path:
    """Train a teacher and three students of one budget; show them: a table, a picture, a report.

    Args:
        out: where the runs go; earlier runs of the demo there are replaced.
        seed: of the initial weights and the order of the images.
        console: where it is told.
        overrides: ``key=value``, dotted, for all four runs.

    Returns:
        The report's file.
    """
    begin = time.monotonic()
    for name in ("teacher", *STUDENTS):
        changes = [f"run={out / name}", f"seed={seed}", *overrides]
        if name in TAUGHT:
            changes.append(f"teacher={out / 'teacher'}")
        console.print(f"[bold]{name}[/bold]: bpkd train demo/{name} {' '.join(changes)}")
        train(f"demo/{name}", *changes, overwrite=True)
    runs = [out / name for name in ("teacher", *STUDENTS)]
    rows = compare(runs, split="test", say=console.print)
    console.print(table.terminal(rows, title="on the test scenes, %"))
    table.write_csv(rows, out / "table.csv")
    file = out / "compare.png"
    picture(runs, file, split="test")
    console.print(f"picture: [bold]{file}[/bold]")
    page = out / "report.html"
    report(runs, page, say=lambda line: None)  # the runs are measured a moment ago
    seconds = time.monotonic() - begin
    console.print(f"report, for any browser: [bold]{page}[/bold] ({seconds:.0f} s in all)")
    return page
