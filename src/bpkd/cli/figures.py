"""The commands that draw the paper's figures, of any runs."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from bpkd.cli.common import Overrides, Run, Split, app, bar

figure_app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="markdown",
    help="Draw the paper's figures: trimap IoU, images side by side, BPKD's own maps.",
)
app.add_typer(figure_app, name="figure")

Runs = Annotated[list[Path], typer.Argument(help="Folders of runs on one data set.")]
Out = Annotated[
    list[Path] | None,
    typer.Option(help="Where it goes, by its ending PNG, PDF or SVG; repeatable."),
]


class Last(StrEnum):
    """What stands at the end of a row."""

    teacher = "teacher"
    labels = "labels"
    both = "both"


@figure_app.command()
def trimap(
    runs: Runs,
    out: Out = None,
    split: Split = "test",
    width: Annotated[int, typer.Option(min=1, help="Of the band in the bars, in pixels.")] = 3,
    widths: Annotated[
        str | None,
        typer.Option(help="Of the band in the curves, e.g. 1,2,4,8; else those measured."),
    ] = None,
) -> None:
    """Trimap IoU class by class as bars, and against the band's width as curves: Figure 1.

    Runs that differ in their seed alone share bars and a curve: mean and standard deviation.

        bpkd figure trimap runs/camvid/plain runs/camvid/cwd runs/camvid/bpkd --out trimap.pdf
    """
    from bpkd.datasets.classes_file import read_classes
    from bpkd.report.compare import compare, recipes_of
    from bpkd.report.figures import check_not_instances
    from bpkd.report.figures.trimap import band_widths, trimap_figure

    files = _files(out, "trimap.png")
    changes = [] if widths is None else [f"evaluation.trimap_widths={band_widths(widths, width)}"]
    check_not_instances(recipes_of(runs))
    rows = compare(runs, *changes, split=split, progress=bar)
    _write(trimap_figure(rows, read_classes(runs[0])[0], width), files)


@figure_app.command()
def grid(
    runs: Runs,
    out: Out = None,
    split: Split = "test",
    images: Annotated[
        list[int] | None,
        typer.Option("--image", help="Which images; repeatable; else by the rule."),
    ] = None,
    rows: Annotated[int, typer.Option(min=1, help="How many images.")] = 4,
    width: Annotated[int, typer.Option(min=1, help="Of the band, in pixels.")] = 3,
    candidates: Annotated[
        int | None, typer.Option(min=1, help="Choose among the first ones; default all.")
    ] = None,
    last: Annotated[
        Last | None, typer.Option(help="The end of a row; default as the paper has it.")
    ] = None,
) -> None:
    """Images in rows, runs in columns, zoomed where they differ along outlines: Figures 3 to 5.

    The rule: the image whose trimap IoU gains most from the first run to the last, then the one
    that loses most, then the second gain, and so on. The number beside a row says how much. Of
    instances: the panoptic quality of the objects that are found in an image.

        bpkd figure grid runs/camvid/plain runs/camvid/cwd runs/camvid/bpkd --out grid.pdf
    """
    from bpkd.report.figures.grid import first_images, gains, grid_figure, page
    from bpkd.report.figures.rule import chosen

    files = _files(out, "grid.png")
    drawn = page(runs, split=split, last=None if last is None else last.value)
    if images:
        picked = gains(drawn, width, images, progress=bar)
    else:
        picked = chosen(gains(drawn, width, first_images(drawn, candidates), progress=bar), rows)
    for row in picked:
        name, unit = drawn.data.name(row.index), drawn.view.unit(width)
        print(f"image {row.index} ({name}): {row.points:+.1f} {unit}")
    _write(grid_figure(drawn, picked, width), files)


@figure_app.command()
def edges(
    run: Run,
    overrides: Overrides = None,
    image: Annotated[int, typer.Option(help="Which image of the split.")] = 0,
    out: Out = None,
    split: Split = "test",
) -> None:
    """What BPKD sees of one image, from the loss's own tensors: Figure 2.

    Image, labels and predictions; edge masks, the divergence of teacher and student there and what
    of it counts; body masks, and the same for the body.

        bpkd figure edges runs/camvid/bpkd --image 3
    """
    from bpkd.report.figures.edges import edges_figure, of_run

    files = _files(out, "edges.png")
    drawing = of_run(run, *overrides or (), split=split, index=image)
    _write(edges_figure(drawing), files)


def _files(out: list[Path] | None, name: str) -> list[Path]:
    """Where a figure goes; refused before anything is measured."""
    from bpkd.report.figure import check_kind
    from bpkd.support.files import check_writable

    files = out or [Path(name)]
    for file in files:
        check_kind(file)
        check_writable(file)
    return files


def _write(figure: object, files: list[Path]) -> None:
    from matplotlib.figure import Figure

    from bpkd.report.figure import save

    assert isinstance(figure, Figure)
    for file in files:
        save(figure, file)
        print(f"figure: {file}")
