"""The commands that look at data, and bring it into the layout that training reads."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bpkd.cli.common import Overrides, app, bar, console

if TYPE_CHECKING:
    from bpkd.datasets.checking.summary import Summary

data_app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="markdown",
    help="Check, show and prepare data sets.",
)
app.add_typer(data_app, name="data")

Source = Annotated[
    str,
    typer.Argument(
        metavar="RECIPE|FOLDER",
        help="A recipe's file or name, or a folder of images/SPLIT, labels/SPLIT and classes.csv.",
    ),
]
Workers = Annotated[
    int | None,
    typer.Option(min=0, help="Processes; 0 works in this one. Without it, one a core."),
]


@data_app.command()
def check(
    source: Source,
    overrides: Overrides = None,
    workers: Workers = None,
    colours: Annotated[
        bool, typer.Option("--colours", help="Also mean and deviation of the images.")
    ] = False,
    out: Annotated[Path | None, typer.Option("--json", help="Write all numbers there.")] = None,
) -> None:
    """Read every image and label map of a data set, and say what is in them and what is broken.

    For each split: images, sizes, the classes' shares of the pixels, boundary pixels (another
    label in the 3x3 window), ignored pixels; then every broken pair, a line each: a label map
    that is missing, a file that cannot be read, sizes that differ, an unknown label value.
    Exit code 1 if there is any. Label maps without an image are counted in a warning.

        bpkd data check camvid/bpkd data.root=data/camvid
        bpkd data check photos data.classes=[road,car]
    """
    from bpkd.datasets.checking.opening import opened
    from bpkd.datasets.checking.summary import check as walk
    from bpkd.datasets.checking.tables import classes_table, splits_table
    from bpkd.datasets.unpaired import collecting_unpaired
    from bpkd.files import replacing

    data = opened(source, overrides or ())
    summaries, warnings = [], []
    for split in data.splits:
        with collecting_unpaired() as unpaired:
            built = data.build(split)
        if unused := unpaired.labels:
            warnings.append(
                f"{split}: label maps without an image: {len(unused)}, e.g. {unused[0]}"
            )
        progress = partial(bar, what=f"checking {split}")
        walked = walk(
            built,
            split,
            missing=unpaired.images,
            workers=workers,
            colours=colours,
            progress=progress,
        )
        summaries.append(walked)
    page = console()
    page.print(classes_table(summaries))
    page.print(splits_table(summaries))
    if out is not None:
        content = {"source": source, "splits": [summary.as_json() for summary in summaries]}
        with replacing(out) as temporary:
            temporary.write_text(json.dumps(content, indent=2) + "\n")
        print(f"all numbers: {out}")
    if absent := summaries[0].absent():
        warnings.append(f"never in {summaries[0].split}: {', '.join(absent)}")
    if _broken(summaries, warnings):
        raise typer.Exit(1)


def _broken(summaries: Sequence[Summary], warnings: Sequence[str]) -> int:
    """How many pairs are broken; prints each, after the warnings."""
    for warning in warnings:
        print(f"warning: {warning}")
    for summary in summaries:
        for problem in summary.problems:
            print(f"broken: {summary.split}: {problem.name}: {problem.message}")
    broken = sum(len(summary.problems) for summary in summaries)
    print(f"{broken} broken of {broken + sum(s.images for s in summaries)} pairs")
    return broken


@data_app.command()
def show(
    source: Source,
    overrides: Overrides = None,
    split: Annotated[str, typer.Option(help="train, val, test, or a split's own name.")] = "train",
    count: Annotated[int, typer.Option(min=1, help="How many images.")] = 8,
    out: Annotated[Path, typer.Option(help="The picture.")] = Path("sheet.png"),
    seed: Annotated[int, typer.Option(min=0, help="Another seed, other images.")] = 0,
    kernel_size: Annotated[int, typer.Option(min=1, help="Window of the edges, odd.")] = 3,
    augmented: Annotated[
        bool, typer.Option("--augmented", help="As training sees them: scaled, cropped...")
    ] = False,
) -> None:
    """Draw a contact sheet: images, their labels in colour, edges in white.

    Ignored pixels are black, and below stands a legend of the classes. With --augmented the
    images are cut and coloured as the recipe's `augment` says.

        bpkd data show camvid/bpkd data.root=data/camvid --out sheet.png
        bpkd data show photos data.classes=[road,car] augment.crop=[256,256] --augmented
    """
    from bpkd.building import seeded
    from bpkd.datasets.checking.opening import opened
    from bpkd.datasets.transforms import training_transform
    from bpkd.report.sheet import contact_sheet, some_indices

    found = opened(source, overrides or ())
    data = found.build(split)
    transform = None
    if augmented:
        arguments = found.augment.model_dump()
        transform = training_transform(ignore_index=data.ignore_index, **arguments)
    indices = some_indices(count, of=len(data), seed=seed)
    title = f"{source}, {split}" + (", as training sees it" if augmented else "")
    with seeded(seed):
        contact_sheet(data, indices, out, transform=transform, kernel_size=kernel_size, title=title)
    print(f"{len(indices)} of {len(data)} images: {out}")


@data_app.command()
def prepare(
    dataset: Annotated[
        str,
        typer.Argument(help="cityscapes, ade20k, pascal-context, voc or coco-stuff."),
    ],
    source: Annotated[Path, typer.Argument(help="Where the archives were unpacked.")],
    out: Annotated[
        Path | None, typer.Option(help="Where the result goes; without it, into SOURCE.")
    ] = None,
    workers: Workers = None,
) -> None:
    """Convert what a published data set needs before training can read it.

    Nothing is downloaded: the licences want each user to fetch the archives. If SOURCE does not
    hold them, a line says where to get them and how the folder must look. Finished files are
    passed over, so a run that was stopped goes on.

        bpkd data prepare cityscapes data/cityscapes
    """
    from bpkd.datasets.preparing import prepare as run

    report = run(dataset, source, out, workers=workers, progress=partial(bar, what="converting"))
    for line in report.lines:
        print(line)
    for problem in report.problems:
        print(f"broken: {problem}")
    if report.problems:
        raise typer.Exit(1)
