"""The main job on the embedded data: a teacher, and students that learn from it, or do not."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from bpkd.report import table
from bpkd.report.compare import compare, picture
from bpkd.report.html.report import report
from bpkd.training.run import train


@dataclass(frozen=True)
class Scenario:
    """What a demo trains.

    Attributes:
        recipes: the folder of their recipes; its teacher is trained first.
        students: of one budget, from the same initial weights.
        alone: those of them that have no teacher.
    """

    recipes: str
    students: tuple[str, ...]
    alone: tuple[str, ...] = ("plain",)


SCENARIOS = {
    "semantic": Scenario("demo", ("plain", "cwd", "bpkd")),
    "instance": Scenario("demo/instance", ("plain", "kd")),
}


def demo(out: Path, seed: int, console: Console, *overrides: str, task: str = "semantic") -> Path:
    """Train a teacher and students of one budget; show them: a table, a picture, a report.

    Args:
        out: where the runs go; earlier runs of the demo there are replaced.
        seed: of the initial weights and the order of the images.
        console: where it is told.
        overrides: ``key=value``, dotted, for all runs.
        task: one of :data:`SCENARIOS`.

    Returns:
        The report's file.
    """
    begin = time.monotonic()
    shown = SCENARIOS[task]
    for name in ("teacher", *shown.students):
        changes = [f"run={out / name}", f"seed={seed}", *overrides]
        if name != "teacher" and name not in shown.alone:
            changes.append(f"teacher={out / 'teacher'}")
        recipe = f"{shown.recipes}/{name}"
        console.print(f"[bold]{name}[/bold]: bpkd train {recipe} {' '.join(changes)}")
        train(recipe, *changes, overwrite=True)
    runs = [out / name for name in ("teacher", *shown.students)]
    rows = compare(runs, split="test", say=console.print)
    title = f"on the test scenes, %{table.sizes_said(runs[0])}"
    console.print(table.terminal(rows, title=title))
    table.write_csv(rows, out / "table.csv")
    file = out / "compare.png"
    picture(runs, file, split="test")
    console.print(f"picture: [bold]{file}[/bold]")
    page = out / "report.html"
    report(runs, page, say=lambda line: None)  # the runs are measured a moment ago
    seconds = time.monotonic() - begin
    console.print(f"report, for any browser: [bold]{page}[/bold] ({seconds:.0f} s in all)")
    return page
