"""The command line: each command calls one function of the package."""

from __future__ import annotations

import errno
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import track

from bpkd import __version__
from bpkd.errors import UserError
from bpkd.recipe_files import shipped_recipes

HELP = """Train a small segmentation network from a big one, with sharp outlines.

**With nothing at all:** `bpkd demo` trains a teacher and three students on embedded scenes, and
shows what each learned.

**With your own images:** write a *recipe*. It names the data, the student, and what the student
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
    bpkd predict runs/student photos --out predictions

A *run* is the folder that training leaves behind, `runs/RECIPE`: weights, numbers, the recipe.

Any key of a recipe can be changed on the command line: `max_iters=2000 optimizer.lr=0.005`.
`base: other.yaml` in a recipe builds on another one.

These recipes come along: {recipes}.

Exit codes: 0 done; 2 a mistake in what was given (one line says which); 130 stopped by Ctrl-C.
"""

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
)

Overrides = Annotated[
    list[str] | None,
    typer.Argument(metavar="KEY=VALUE", help="Recipe keys to change, dotted."),
]
Run = Annotated[Path, typer.Argument(help="The folder of a run.")]
Split = Annotated[str, typer.Option(help="train, val or test.")]
Checkpoint = Annotated[str, typer.Option(help="student (the weights at the end), best or last.")]


def _console() -> Console:
    """Tables fit the terminal; in a file or a pipe they need not be cut."""
    return Console(width=None if sys.stdout.isatty() else 200)


@app.command()
def train(
    recipe: Annotated[str, typer.Argument(help="A YAML file, or the name of a shipped recipe.")],
    overrides: Overrides = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on where the run left off.")] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the run in its folder.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress bar.")] = False,
) -> None:
    """Train the student of a recipe.

    The run's folder then holds the student (student.safetensors), checkpoints, the recipe as it
    was resolved, and the numbers as CSV. Ctrl-C stops in good order; --resume goes on, to the
    same numbers as if nothing had happened.

        bpkd train camvid/bpkd data.root=data/camvid run=runs/seed1 seed=1
    """
    from bpkd.training import Stopped
    from bpkd.training import train as run

    try:
        folder = run(
            recipe, *overrides or (), resume=resume, overwrite=overwrite, progress=not quiet
        )
    except Stopped:
        print("stopped; the last checkpoint is written: go on with --resume")
        raise typer.Exit(130) from None
    print(f"{folder} holds the student (student.safetensors) and its numbers")
    print(f"next: bpkd evaluate {folder}")


@app.command()
def evaluate(
    run: Run,
    overrides: Overrides = None,
    split: Split = "test",
    checkpoint: Checkpoint = "student",
) -> None:
    """Measure a run: overall, along the outlines, and class by class.

    Recipe keys can be changed for the occasion, e.g. `evaluation.mode=slide` for sliding windows.
    """
    from bpkd.evaluation import evaluate as measure
    from bpkd.report.table import Row, by_class, terminal

    scores = measure(run, *overrides or (), split=split, checkpoint=checkpoint, progress=_bar)
    console = _console()
    console.print(terminal([Row(run.resolve().name, [scores])], title=f"{run} on {split}, %"))
    console.print(by_class(run, scores))
    print(f"all numbers: {run / f'evaluation_{split}.json'}")


@app.command()
def predict(
    run: Run,
    images: Annotated[list[Path], typer.Argument(help="Images, or folders of images.")],
    out: Annotated[Path, typer.Option(help="Where the predictions go.")] = Path("predictions"),
    window: Annotated[
        int | None, typer.Option(min=1, help="Side of sliding windows in pixels, for large images.")
    ] = None,
    checkpoint: Checkpoint = "student",
) -> None:
    """Segment images: label PNGs and colour overlays.

    Writes OUT/labels/NAME.png, class indices with the classes' colours as palette, and
    OUT/overlays/NAME.png. Images in folders keep their place below the folder.
    """
    from bpkd.prediction import predict as segment

    count = segment(run, images, out, window=window, checkpoint=checkpoint, progress=_bar)
    print(f"{count} images: {out / 'labels'} and {out / 'overlays'}")


@app.command()
def compare(
    runs: Annotated[list[Path], typer.Argument(help="Folders of runs on one data set.")],
    split: Split = "test",
    out: Annotated[Path, typer.Option(help="The picture.")] = Path("compare.png"),
    image: Annotated[int | None, typer.Option(help="Which image of the split.")] = None,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print it as Markdown.")] = False,
    table: Annotated[Path | None, typer.Option("--csv", help="Also write it as CSV.")] = None,
) -> None:
    """Measure runs side by side, and draw an image through each.

    The picture shows the image, its labels, the teacher and each student, zoomed on an outline.
    Runs that differ in their seed alone share a row: mean ± standard deviation.
    """
    from bpkd.report import table as tables
    from bpkd.report.compare import compare as measure
    from bpkd.report.compare import picture

    rows = measure(runs, split=split, progress=_bar)
    if markdown:
        print(tables.markdown(rows), end="")
    else:
        _console().print(tables.terminal(rows, title=f"on {split}, %"))
    if table is not None:
        tables.write_csv(rows, table)
    picture(runs, out, split=split, index=image)
    print(f"picture: {out}")


@app.command()
def demo(
    out: Annotated[Path, typer.Option(help="Where the runs go.")] = Path("runs/demo"),
    seed: Annotated[int, typer.Option(help="Another seed, another demo.")] = 0,
) -> None:
    """Show the method on embedded scenes: a table, a picture.

    Trains a teacher, a plain student, a CWD student and a BPKD student, all students from the
    same initial weights with the same budget: some minutes on two CPU cores.
    """
    from bpkd.demo import demo as run

    run(out, seed, _console())


def _version(asked: bool) -> None:
    if asked:
        print(f"bpkd {__version__}")
        raise typer.Exit


@app.callback(help=HELP.replace("{recipes}", ", ".join(f"`{r}`" for r in shipped_recipes())))
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
    # A recipe may name the user's own classes, in a file where the command is given.
    sys.path.append(str(Path.cwd()))
    try:
        app()
    except UserError as error:
        _fail(str(error))
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EROFS):
            raise
        _fail(f"{error.filename or 'a file'}: {error.strerror}")


def _fail(message: str) -> None:
    print(f"bpkd: {' '.join(message.split())}", file=sys.stderr)
    sys.exit(2)


def _bar(loader: Iterable[Any]) -> Iterator[Any]:
    """A progress bar that goes away when it is done; on a terminal alone."""
    console = Console(stderr=True)
    hidden = not console.is_terminal
    return iter(track(loader, "measuring", transient=True, console=console, disable=hidden))
