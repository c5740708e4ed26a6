"""The command that shows the method with nothing but the package."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from bpkd.cli.common import Overrides, app, console
from bpkd.cli.ending import log


class DemoTask(StrEnum):
    """What the demo's networks find."""

    semantic = "semantic"
    instance = "instance"


@app.command()
def demo(
    overrides: Overrides = None,
    task: Annotated[
        DemoTask, typer.Option(help="Label maps of scenes, or the objects of painted ones.")
    ] = DemoTask.semantic,
    out: Annotated[
        Path | None,
        typer.Option(help="Where the runs go; default runs/demo, of objects runs/demo_instance."),
    ] = None,
    seed: Annotated[int, typer.Option(help="Another seed, another demo.")] = 0,
) -> None:
    """Show the method on embedded scenes: a table, a picture, a report.

    Trains a teacher, a plain student, a CWD student and a BPKD student, all students from the
    same initial weights with the same budget: some minutes on two CPU cores. Recipe keys change
    all four: a quick look takes `max_iters=20 data.count=8`.

    --task instance: a teacher and two students that find objects, alone and with KD.
    """
    from bpkd.report.demo import demo as run

    where = out or Path("runs/demo" if task is DemoTask.semantic else "runs/demo_instance")
    with log():
        run(where, seed, console(), *overrides or (), task=task.value)
