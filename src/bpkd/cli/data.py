"""The commands that look at data, and bring it into the layout that training reads."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from bpkd.cli.common import Overrides, Trust, app, bar, draw, put
from bpkd.errors import UserError

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
        help="A recipe's file or name; or a folder of images/SPLIT, labels/SPLIT and classes.csv, "
        "or of images and instances, or in COCO's layout; or a Parquet file.",
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
    every: Annotated[
        bool, typer.Option("--all", help="List every broken pair, not three of those alike.")
    ] = False,
    out: Annotated[Path | None, typer.Option("--json", help="Write all numbers there.")] = None,
    trust: Trust = False,
) -> None:
    """Read every image and label map of a data set, and say what is in them and what is broken.

    For each split: images, sizes, the classes' shares of the pixels, boundary pixels (another
    label in the 3x3 window), ignored pixels; then warnings; then every broken pair, a line each: a
    label map that is missing, a file that cannot be read, sizes that differ, an unknown label
    value; and each split that cannot be opened. Pairs that are broken alike are counted, and three
    of them shown. Exit code 1 if anything is broken.

    A recipe needs no more than `data` for this. `data.test=null` leaves a split out.

        bpkd data check camvid/bpkd data.root=data/camvid
        bpkd data check photos 'data.classes=[road,car]'
        bpkd data check owner/name data.use=bpkd.datasets.hub.Hub
        bpkd data check data/coco

    Of instances: how many of each class and size (small below 32x32 pixels, large from 96x96),
    crowds, images without any; warnings of boxes that leave the image or are not those of their
    masks, and of empty masks; and as broken each annotation of an unknown category or image, or
    listed twice, each polygon of fewer than 3 points, run lengths of another size.
    """
    from bpkd.datasets.checking.opening import opened
    from bpkd.datasets.checking.whole import check_all
    from bpkd.recipe.trust import trusted
    from bpkd.support.files import check_writable, replacing

    if out is not None:
        check_writable(out)
    with trusted(trust, beside=True):
        checked = check_all(
            opened(source, overrides or ()),
            workers=workers,
            colours=colours,
            progress=lambda split: partial(bar, what=f"checking {split}"),
        )
    for table in checked.tables():
        draw(table)
    put("\n".join(checked.lines(every)))
    if out is not None:
        content = {"source": source} | checked.as_json()
        with replacing(out) as temporary:
            temporary.write_text(json.dumps(content, indent=2) + "\n")
        put(f"all numbers: {out}")
    if checked.broken:
        raise typer.Exit(1)


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
    trust: Trust = False,
) -> None:
    """Draw a contact sheet: images, their labels in colour, edges in white.

    Ignored pixels are black, and below stands a legend of the classes. Instances are in their
    classes' colours, the smaller on the larger, and crowds black. With --augmented the images
    are cut and coloured as the recipe's `augment` says. What cannot be read is left out.

        bpkd data show camvid/bpkd data.root=data/camvid --out sheet.png
        bpkd data show photos 'data.classes=[road,car]' 'augment.crop=[256,256]' --augmented
    """
    from bpkd.datasets.checking.opening import opened
    from bpkd.datasets.checking.splits import open_split
    from bpkd.recipe.trust import trusted
    from bpkd.report.sheet import check_sheet, contact_sheet, some_indices
    from bpkd.support.seeds import seeded

    check_sheet(out, kernel_size)
    with trusted(trust, beside=True):
        found = opened(source, overrides or ())
        opening = open_split(found, found.data.own_name(split))
    data, problems = opening.data, [problem.message for problem in opening.problems]
    if not len(data):
        raise UserError(f"the split {split!r} has no whole pair: {problems[0]}")
    transform = found.transform(data) if augmented else None
    indices = some_indices(count, of=len(data), seed=seed)
    title = f"{source}, {split}" + (", as training sees it" if augmented else "")
    with seeded(seed):
        left_out = contact_sheet(
            data, indices, out, transform=transform, kernel_size=kernel_size, title=title
        )
    if problems:
        print(f"{len(problems)} make no pair (bpkd data check lists them), e.g. {problems[0]}")
    for message in left_out:
        print(f"left out: {message}")
    print(f"{len(indices) - len(left_out)} of {len(data)} images: {out}")


@data_app.command()
def prepare(
    dataset: Annotated[
        str,
        typer.Argument(
            help="cityscapes, ade20k, pascal-context, voc, coco-stuff, coco or annotations."
        ),
    ],
    source: Annotated[Path, typer.Argument(help="Where the archives were unpacked.")],
    out: Annotated[
        Path | None, typer.Option(help="Where the result goes; without it, into SOURCE.")
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Make label maps anew that are there already.")
    ] = False,
    workers: Workers = None,
) -> None:
    """Convert what a published data set needs before training can read it.

    Nothing is downloaded: the licences want each user to fetch the archives. They are looked for
    in SOURCE, in the folders in it and in the one above. If they are not there, a line says where
    to get them, how the folder must look, and which of them are not unpacked yet. Finished files
    are passed over, so a run that was stopped goes on.

        bpkd data prepare cityscapes data/cityscapes

    Annotations of any tool (bpkd data formats) become label maps in a folder of their own, with
    links to the images. Training needs no such thing; other programs may.

        bpkd data prepare annotations photos --out photos-labels
    """
    from bpkd.datasets.preparing import prepare as run

    progress = partial(bar, what="converting")
    report = run(dataset, source, out, overwrite=overwrite, workers=workers, progress=progress)
    for line in report.lines:
        print(line)
    for problem in report.problems:
        print(f"broken: {problem}")
    if report.problems:
        raise typer.Exit(1)


@data_app.command()
def formats(
    markdown: Annotated[bool, typer.Option("--markdown", help="Print a Markdown table.")] = False,
) -> None:
    """List the annotation formats that are read, by what each is recognised, what it cannot hold.

    bpkd data formats
    """
    from bpkd.datasets.annotations import listing

    put(listing.markdown() if markdown else "\n".join(listing.entries()))
