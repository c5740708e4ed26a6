"""The commands that list recipes and fill the paper's tables."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bpkd.cli.common import app, bar, console


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
def table(
    number: Annotated[str, typer.Argument(help="2, 3 or 80k.")],
    runs: Annotated[
        Path | None, typer.Option(help="Folder of runs, as DATA/PAIR/METHOD or METHOD-SEED.")
    ] = None,
    data: Annotated[
        list[str] | None, typer.Option(help="cityscapes, ade20k or pascal_context; repeatable.")
    ] = None,
    pair: Annotated[
        str, typer.Option(help="For table 3: pspnet, hrnet, deeplabv3plus or isanet.")
    ] = "pspnet",
    width: Annotated[int, typer.Option(help="For table 3: of the trimap, in pixels.")] = 3,
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
    from bpkd.errors import UserError
    from bpkd.report.paper_layout import Grid, by_class, pairs_and_methods

    if number == "3":
        if published is not None:
            raise UserError("--published is for the tables 2 and 80k; table 3 shows runs alone")
        grids: list[Grid] = [by_class(runs, (data or ["cityscapes"])[0], pair, width, bar)]
    else:
        grids = pairs_and_methods(number, runs, data or [], published, bar)
    for grid in grids:
        if markdown:
            print(grid.markdown())
        else:
            console().print(grid.terminal())
    print(grids[0].note)
    for warning in grids[-1].warnings:
        typer.echo(f"bpkd: {warning}", err=True)
    if csv is not None:
        grids[0].write_csv(csv, grids)
