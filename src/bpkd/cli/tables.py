"""The commands that list recipes and fill the paper's tables."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bpkd.cli.common import Overrides, app, bar, console, put


@app.command()
def recipes(
    words: Annotated[
        list[str] | None, typer.Argument(help="Show the recipes whose names hold all of these.")
    ] = None,
) -> None:
    """List the recipes that come along.

    Without words, an overview: how many there are of what.
    With words, each recipe whose name holds them all, and what it trains.

        bpkd recipes table2 cityscapes bpkd
    """
    from bpkd.report.recipe_list import listing, overview

    if words:
        console().print(listing(words))
    else:
        print(overview())


@app.command()
def recipe(
    source: Annotated[str, typer.Argument(help="A YAML file, or the name of a shipped recipe.")],
    overrides: Overrides = None,
) -> None:
    """Print a recipe as `bpkd train` reads it.

    It is joined with the recipes that it is based on, and has the defaults of all keys; those of
    the classes that it names are on their own pages (`bpkd methods bpkd`). What is printed is a
    recipe itself. Nothing that it names outside the known libraries is imported.

        bpkd recipe table2/cityscapes/pspnet/bpkd seed=1
        bpkd recipe student.yaml > whole.yaml
    """
    from bpkd.recipe.loading import dump, load_recipe

    put(dump(load_recipe(source, overrides or (), look=True)).rstrip())


@app.command()
def table(
    number: Annotated[str, typer.Argument(help="2, 3 or 80k.")],
    runs: Annotated[
        Path | None, typer.Option(help="Folder of runs, as DATA/PAIR/METHOD or METHOD-SEED.")
    ] = None,
    data: Annotated[
        list[str] | None, typer.Option(help="cityscapes, ade20k or pascal_context; repeatable.")
    ] = None,
    pair: Annotated[
        str | None,
        typer.Option(help="For table 3: pspnet (default), hrnet, deeplabv3plus or isanet."),
    ] = None,
    width: Annotated[
        int | None, typer.Option(min=1, help="For table 3: of the trimap, in pixels; default 3.")
    ] = None,
    published: Annotated[
        Path | None,
        typer.Option(help="A CSV of other published numbers: data,pair,method,mIoU,mAcc."),
    ] = None,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print it as Markdown.")] = False,
    csv: Annotated[Path | None, typer.Option("--csv", help="Also write it as CSV.")] = None,
) -> None:
    """Fill one of the paper's tables with your runs, beside the published numbers.

    Table 2: every pair and method at 40,000 iterations; 80k: the same at 80,000; 3: trimap IoU
    class by class. Rows without a run stay open.

        bpkd train table2/cityscapes/pspnet/bpkd data.root=data/cityscapes
        bpkd table 2 --runs runs/table2 --data cityscapes
    """
    from bpkd.report.paper_classes import by_class
    from bpkd.report.paper_layout import pairs_and_methods
    from bpkd.support.files import check_writable

    if csv is not None:
        check_writable(csv)  # measuring the runs may take hours
    if number == "3":
        _refuse(number, published=published)
        names = data or ["cityscapes"]
        grids = [by_class(runs, d, pair or "pspnet", width or 3, bar) for d in names]
    else:
        _refuse(number, pair=pair, width=width)
        grids = pairs_and_methods(number, runs, data or [], published, bar)
    page = console()
    for grid in grids:
        if markdown:
            print(grid.markdown())
        else:
            page.print(grid.terminal())
    print(grids[0].note)
    for warning in (warning for grid in grids for warning in grid.warnings):
        typer.echo(f"bpkd: {warning}", err=True)
    if csv is not None:
        grids[0].write_csv(csv, grids)


def _refuse(number: str, **options: object) -> None:
    """Options that say nothing about a table are not passed over in silence."""
    from bpkd.errors import UserError

    for name, value in options.items():
        if value is not None:
            raise UserError(f"table {number} has no use for --{name}; leave it out")
