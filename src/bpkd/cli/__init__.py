"""The command line: each command calls one function of the package."""

from __future__ import annotations

import io
import sys
from typing import Annotated

import typer

from bpkd import __version__
from bpkd.cli import (  # noqa: F401  (the commands, in the help page's order)
    analysis,
    data,
    demo,
    export,
    figures,
    hub,
    methods,
    model,
    report,
    runs,
    starting,
    tables,
    teacher_cache,
    tuning,
)
from bpkd.cli.common import app
from bpkd.cli.ending import ending

HELP = """Train a small segmentation network from a big one, with sharp outlines.

**With nothing at all:** `bpkd demo` trains a teacher and three students on embedded scenes, and
shows what each learned.

**With your own images**, annotated in any tool: `bpkd init photos` looks at them and writes
`teacher.yaml` and `student.yaml`; `bpkd distill photos` trains both as well.

**A recipe** of your own names the data, the student, and what the student
is to learn from which teacher; everything else has a default.

    data:
      use: bpkd.datasets.folder.Folder
      root: data               # images/train/a.jpg, labels/train/a.png, ...
      classes: [road, car, tree]
    student:
      use: bpkd.networks.pspnet.PSPNet
      backbone: resnet18       # any backbone of timm
    teacher: runs/teacher      # the folder of a run
    losses:
      bpkd: {use: bpkd.losses.bpkd.BPKD}

A recipe without `teacher` and `losses` trains a network plainly: that makes the teacher. `use`
takes any class, your own included. Then

    bpkd train teacher.yaml
    bpkd train student.yaml
    bpkd compare runs/teacher runs/student --out picture.png
    bpkd report runs/teacher runs/student --out report.html
    bpkd predict runs/student photos --out predictions

A *run* is the folder that training leaves behind, `runs/RECIPE`: weights, numbers, the recipe.

Any key of a recipe can be changed on the command line: `max_iters=2000 optimizer.lr=0.005`.
`base: other.yaml` in a recipe builds on another one.

**A recipe, and a run's folder, is a program:** it names classes, and they are made. `train` runs
what your own recipe names, from beside you too; a run that is only loaded names bpkd, timm, torch,
torchvision, transformers and segmentation_models_pytorch, and anything else with `--trust` alone.
`recipe` imports nothing else at all. Checkpoints are data: nothing in them is run.

`bpkd recipes` lists the recipes that come along, `bpkd recipe` prints one whole,
`bpkd methods` says what a student can learn by, `bpkd model` what networks cost.

Exit codes: 0 done; 1 something in the data is broken (a line each says what); 2 a mistake in what
was given (one line says which); 128 + N stopped by signal N: 130 Ctrl-C, 143 SIGTERM, 138 SIGUSR1.
"""


def _version(asked: bool) -> None:
    if asked:
        print(f"bpkd {__version__}")
        raise typer.Exit


@app.callback(help=HELP)
def options(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_version, is_eager=True, help="Show the version and exit."
        ),
    ] = False,
) -> None:
    """What stands before the command."""


def main() -> None:
    """Run the command line; a user's mistake becomes one line and exit code 2."""
    for stream in (sys.stdout, sys.stderr):  # a terminal without Δ and ± shows a question mark
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    with ending():
        app()
