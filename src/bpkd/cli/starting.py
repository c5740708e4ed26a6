"""The commands that begin with a folder of annotated images."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from bpkd.cli.common import Overrides, Trust, app, bar, put
from bpkd.support.messages import typed

Data = Annotated[Path, typer.Argument(help="Folder of images and annotations of any tool.")]
Teacher = Annotated[
    str | None,
    typer.Option(
        help="A run's folder, an exported file, or a network to train: a name of bpkd.networks, a "
        "backbone of timm, owner/name of transformers, a dotted path. Without it, one that fits "
        "the machine."
    ),
]
Student = Annotated[str | None, typer.Option(help="The network to train, named like a teacher.")]
Form = Annotated[
    str | None,
    typer.Option(help="Of the annotations (bpkd data formats); without it, recognised."),
]
Weights = Annotated[
    str, typer.Option(help="Of backbones: hub (timm's download), none, or a folder of files.")
]
Seed = Annotated[int, typer.Option(min=0, help="Of splits and of training.")]


@app.command()
def init(
    data: Data,
    teacher: Teacher = None,
    student: Student = None,
    out: Annotated[Path, typer.Option(help="Where the recipes go.")] = Path(),
    format: Form = None,
    weights: Weights = "hub",
    seed: Seed = 0,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace recipes that are there.")
    ] = False,
) -> None:
    """Look at a folder of annotated images, and write recipes that fit.

    Finds the format, classes, colours, values of no class and splits; chooses crop, batch,
    iterations and networks for these images and this machine; writes teacher.yaml and student.yaml
    with the reasons as comments. Splits that are missing are drawn from the seed and written to
    OUT/splits. Nothing in DATA is changed.

        bpkd init photos
        bpkd init photos --teacher runs/big --student resnet18
    """
    from bpkd.recipe.trust import own_recipe
    from bpkd.starting.init import init as run

    put(f"looking at {data}")
    with own_recipe(beside=True):
        started = run(
            data,
            teacher=teacher,
            student=student,
            out=out,
            format=format,
            weights=None if weights == "none" else weights,
            seed=seed,
            overwrite=overwrite,
            workers=None,
            progress=partial(bar, what="looking"),
        )
    for line in [*started.lines, "next:", *(f"  {each}" for each in started.next_commands)]:
        put(line)


@app.command()
def distill(
    data: Data,
    overrides: Overrides = None,
    teacher: Teacher = None,
    student: Student = None,
    out: Annotated[Path, typer.Option(help="Where recipes and runs go.")] = Path("distilled"),
    format: Form = None,
    weights: Weights = "hub",
    seed: Seed = 0,
    resume: Annotated[bool, typer.Option("--resume", help="Go on where it left off.")] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Begin anew where recipes and runs are there.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress bar.")] = False,
    trust: Trust = False,
) -> None:
    """From a folder of annotated images to a trained student in one call.

    Writes recipes as `bpkd init` does, trains the teacher and then the student.

        bpkd distill photos --teacher runs/big --student resnet18 max_iters=2000
    """
    from bpkd.recipe.trust import own_recipe, trusted
    from bpkd.starting.distilling import distill as run
    from bpkd.training.run import Stopped

    try:
        with own_recipe(beside=True), trusted(trust):
            folder = run(
                data,
                *overrides or (),
                teacher=teacher,
                student=student,
                out=out,
                format=format,
                weights=None if weights == "none" else weights,
                seed=seed,
                resume=resume,
                overwrite=overwrite,
                progress=not quiet,
                bar=partial(bar, what="looking"),
                say=put,
            )
    except Stopped:
        print("stopped; the last checkpoint is written: go on with --resume")
        raise typer.Exit(130) from None
    print(f"{folder} holds the student (student.safetensors) and its numbers")
    print(f"next: bpkd evaluate {typed(folder)}")
