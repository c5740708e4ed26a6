"""The commands that train a student and look at what it learned."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bpkd.cli.common import Checkpoint, Overrides, Run, Split, Trust, app, bar, console
from bpkd.cli.ending import log
from bpkd.support.messages import printable, typed

if TYPE_CHECKING:
    from bpkd.report.effects import Effect


@app.command()
def train(
    recipe: Annotated[str, typer.Argument(help="A YAML file, or the name of a shipped recipe.")],
    overrides: Overrides = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on where the run left off.")] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the run in its folder.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress bar.")] = False,
    trust: Trust = False,
    teacher_cache: Annotated[
        Path | None,
        typer.Option(help="Keep there what the teacher says of each draw, for later runs."),
    ] = None,
) -> None:
    """Train the student of a recipe.

    The run's folder then holds the student (student.safetensors), checkpoints, the recipe as it
    was resolved, and the numbers as CSV. Ctrl-C, SIGTERM, SIGHUP and SIGUSR1 stop in good order;
    --resume goes on, to the same numbers as if nothing had happened.

        bpkd train camvid/bpkd data.root=data/camvid run=runs/seed1 seed=1
        bpkd train camvid/cwd data.root=data/camvid draws=0 --teacher-cache cache
    """
    from bpkd.recipe.trust import own_recipe, trusted
    from bpkd.training.run import train as run

    changes = list(overrides or ())
    if teacher_cache is not None:
        changes.append(f"teacher_cache.folder={json.dumps(str(teacher_cache))}")
    with log(), own_recipe(beside=True), trusted(trust):
        folder = run(recipe, *changes, resume=resume, overwrite=overwrite, progress=not quiet)
    print(f"{folder} holds the trained network (student.safetensors) and its numbers")
    print(f"next: bpkd evaluate {typed(folder)}")


@app.command()
def evaluate(
    run: Run,
    overrides: Overrides = None,
    split: Split = "test",
    checkpoint: Checkpoint = "student",
    teacher: Annotated[
        bool, typer.Option("--teacher", help="RUN is a recipe: measure the teacher it describes.")
    ] = False,
    trust: Trust = False,
) -> None:
    """Measure a run: overall, along the outlines, and class by class.

    Recipe keys can be changed for the occasion: where the data are, whole images or sliding
    windows, the widths of the trimap.

        bpkd evaluate runs/student
        bpkd evaluate runs/student evaluation.mode=slide data.root=elsewhere --split val
        bpkd evaluate student.yaml --teacher
    """
    from bpkd.inference.evaluation import evaluate as measure
    from bpkd.inference.predictor import kept_at
    from bpkd.recipe.trust import own_recipe, trusted
    from bpkd.report.table import Row, by_class, sizes_said, terminal

    if teacher:
        with own_recipe(beside=True), trusted(trust):
            _teacher(str(run), overrides or [], split)
        return
    said: list[str] = []
    changes = tuple(overrides or ())
    with trusted(trust, beside=True):
        scores = measure(
            run, *changes, split=split, checkpoint=checkpoint, progress=bar, say=said.append
        )
    page = console()
    title = f"{run} on {split}, %{sizes_said(run, *overrides or ())}"
    page.print(terminal([Row(run.resolve().name, [scores])], title=title))
    page.print(by_class(run, scores))
    print(*said, sep="\n", end="\n" if said else "")
    print(f"all numbers: {kept_at(run, split)}")


def _teacher(recipe: str, overrides: list[str], split: str) -> None:
    """Measure the teacher of a recipe; nothing is kept."""
    from bpkd.report.table import Row, class_rows, terminal
    from bpkd.training.scrutiny import measure_teacher

    classes, scores = measure_teacher(recipe, *overrides, split=split, progress=bar)
    page = console()
    page.print(terminal([Row("teacher", [scores])], title=f"the teacher of {recipe} on {split}, %"))
    page.print(class_rows(classes, scores))


@app.command()
def predict(
    run: Run,
    images: Annotated[list[Path], typer.Argument(help="Images, or folders of images.")],
    out: Annotated[Path, typer.Option(help="Where the predictions go.")] = Path("predictions"),
    window: Annotated[
        int | None, typer.Option(min=1, help="Side of sliding windows in pixels, for large images.")
    ] = None,
    checkpoint: Checkpoint = "student",
    max_pixels: Annotated[
        int | None, typer.Option(min=1, help="Read no larger image; else as the run's data say.")
    ] = None,
    as_labels: Annotated[
        bool,
        typer.Option("--as-labels", help="Write labels to train on: unsure pixels are ignored."),
    ] = False,
    confidence: Annotated[
        float, typer.Option(min=0, help="With --as-labels, the least probability of a class.")
    ] = 0.9,
    trust: Trust = False,
) -> None:
    """Segment images: label PNGs and colour overlays; of objects, COCO results too.

    Writes OUT/labels/NAME.png, class indices with the classes' colours as palette, and
    OUT/overlays/NAME.png. A network that finds objects writes OUT/results.json and
    OUT/instances/NAME.png, their numbers in 16 bits, instead of label maps. Images in folders keep
    their place below the folder. What cannot be read is listed, a line each, the others are
    segmented, and the exit code is 1.

    With --as-labels there are no overlays; OUT/classes.csv says what the labels are, and 255 (of
    more than 255 classes 65535) is what the network is not sure of. Correct them in any tool, and
    train on them.

        bpkd predict runs/student photos one.jpg --out predictions
        bpkd predict runs/teacher photos --as-labels --confidence 0.95 --out labelled
    """
    from bpkd.inference.prediction import predict as segment
    from bpkd.recipe.trust import trusted

    with trusted(trust, beside=True):
        done = segment(
            run,
            images,
            out,
            window=window,
            checkpoint=checkpoint,
            max_pixels=max_pixels,
            confidence=confidence if as_labels else None,
            progress=bar,
        )
    for failure in done.failures:
        print(f"failed: {printable(failure)}")
    if as_labels:
        print(f"{done.count} images: {out / 'labels'}, classes in {out / 'classes.csv'}")
        if len(images) == 1 and images[0].is_dir():
            print(
                f"to train on them: data.use=bpkd.datasets.folder.Folder data.root={out} "
                f"data.images={images[0].resolve()} data.labels=labels"
            )
    else:
        print(f"{done.count} images: {' and '.join(str(out / where) for where in done.places)}")
    if done.failures:
        raise typer.Exit(1)


@app.command()
def compare(
    runs: Annotated[
        list[Path], typer.Argument(help="Folders of runs on one data set, or files of networks.")
    ],
    split: Split = "test",
    out: Annotated[Path, typer.Option(help="The picture.")] = Path("compare.png"),
    image: Annotated[int | None, typer.Option(help="Which image of the split.")] = None,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print it as Markdown.")] = False,
    table: Annotated[Path | None, typer.Option("--csv", help="Also write it as CSV.")] = None,
    paired: Annotated[
        str | None,
        typer.Option(help="A method among them: what the others gain on it, seed by seed."),
    ] = None,
    thin: Annotated[
        str | None,
        typer.Option(help="For --paired: thin classes by name, a,b; else by their labels."),
    ] = None,
    trust: Trust = False,
) -> None:
    """Measure runs side by side, and draw an image through each.

    The picture shows the image, its labels, the teacher and each student, zoomed on an outline.
    Runs that differ in their seed alone share a row: mean ± standard deviation. Files that
    `bpkd export` wrote stand beside the run that they came from, with their size on the disk.

    --paired BASELINE adds the differences of runs of the same seed, with their standard error and
    95 % intervals by drawing seeds, images and both again; thin classes are those of which at
    least half lies within 3 pixels of an outline. With --csv t.csv they go to t_paired.csv.

        bpkd compare runs/teacher runs/student --out picture.png --csv table.csv
        bpkd compare runs/student student.onnx student.int8.onnx
        bpkd compare runs/cwd-* runs/bpkd-* --paired cwd
    """
    from bpkd.recipe.trust import trusted
    from bpkd.report import table as tables
    from bpkd.report.compare import compare as measure
    from bpkd.report.compare import picture
    from bpkd.support.files import check_writable

    for file in (out, table):
        if file is not None:
            check_writable(file)
    # The picture first: it is soon drawn, and shows what is wrong before the long way.
    said: list[str] = []
    with trusted(trust, beside=True):
        picture(runs, out, split=split, index=image)
        gains = [] if paired is None else _gains(runs, paired, thin, split, said)
        rows = measure(runs, split=split, progress=bar, say=said.append)
    if markdown:
        print(tables.markdown(rows), end="")
    else:
        title = f"on {split}, %{tables.sizes_said(runs[0])}"
        console().print(tables.terminal(rows, title=title))
    if table is not None:
        tables.write_csv(rows, table)
    if paired is not None:
        from bpkd.report import paired as pairs

        console().print(pairs.terminal(gains, paired, split))
        if table is not None:
            pairs.write_csv(gains, paired, table.with_stem(f"{table.stem}_paired"))
    said = list(dict.fromkeys(said))  # each run is asked for twice
    print(*said, f"picture: {out}", sep="\n")


def _gains(
    runs: list[Path], baseline: str, thin: str | None, split: str, said: list[str]
) -> list[Effect]:
    """What the other methods gain on one."""
    from bpkd.report.paired import paired

    names = None if thin is None else [name.strip() for name in thin.split(",")]
    return paired(runs, baseline, split=split, thin=names, progress=bar, say=said.append)
