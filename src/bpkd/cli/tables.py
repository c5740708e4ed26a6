"""The commands that list recipes and fill the paper's tables."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bpkd.cli.common import Overrides, app, bar, console, put
from bpkd.support.messages import printable

if TYPE_CHECKING:
    from bpkd.report.paper_grid import Grid


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
    recipe itself. Nothing that it names is imported, so their arguments are not checked here.

        bpkd recipe table2/cityscapes/pspnet/bpkd seed=1
        bpkd recipe student.yaml > whole.yaml
    """
    from bpkd.recipe.loading import dump, load_recipe

    put(dump(load_recipe(source, overrides or (), imports="none")).rstrip())


@app.command()
def table(
    number: Annotated[str, typer.Argument(help="1, 2, 3, 4, 80k or later.")],
    runs: Annotated[
        Path | None,
        typer.Option(help="Folder of runs, as DATA/PAIR/METHOD or METHOD-SEED; table 4: METHOD."),
    ] = None,
    data: Annotated[
        list[str] | None, typer.Option(help="cityscapes, ade20k or pascal_context; repeatable.")
    ] = None,
    pair: Annotated[
        str | None,
        typer.Option(help="For table 3: pspnet (default), hrnet, deeplabv3plus or isanet."),
    ] = None,
    width: Annotated[
        int | None,
        typer.Option(min=1, help="For table 3: of the trimap, in pixels; default the nearest."),
    ] = None,
    published: Annotated[
        Path | None,
        typer.Option(help="A CSV of other published numbers: data,pair,method,mIoU,mAcc."),
    ] = None,
    gains: Annotated[
        bool, typer.Option("--gains", help="What BPKD gains in it, beside what the text says.")
    ] = False,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print it as Markdown.")] = False,
    csv: Annotated[Path | None, typer.Option("--csv", help="Also write it as CSV.")] = None,
    html: Annotated[
        Path | None, typer.Option("--html", help="Also write it as a page for a browser.")
    ] = None,
) -> None:
    """Print one of the paper's tables, with your runs beside the published numbers.

    Table 1: students without ImageNet weights; 2: every pair and method at 40,000 iterations;
    80k: the same at 80,000; 3: trimap IoU class by class; 4: instances. Rows without a run stay
    open. later: what the authors of the methods after BPKD publish, beside what their students
    reach alone.

        bpkd table 1
        bpkd train table2/cityscapes/pspnet/bpkd data.root=data/cityscapes
        bpkd table 2 --runs runs/table2 --data cityscapes
    """
    from bpkd.errors import UserError
    from bpkd.support.files import check_writable

    options = {"runs": runs, "data": data, "pair": pair, "width": width, "published": published}
    _refuse(number, _USED.get(number, ()), **options)
    if gains:
        if number not in _GAINS:
            raise UserError(f"table {number} has no --gains; {', '.join(_GAINS)} have")
        _refuse(f"{number} --gains", (), **options)
    for file in (csv, html):
        if file is not None:
            check_writable(file)  # measuring the runs may take hours
    grids = _gains(number) if gains else _grids(number, runs, data or [], pair, width, published)
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
    if html is not None:
        from bpkd.report.html.sheet import write_grids

        write_grids(html, f"Table {number} of the BPKD paper", grids)
        print(f"page: {printable(str(html))}")


#: Options that say something about a table.
_USED: dict[str, tuple[str, ...]] = {
    "1": ("runs", "data", "published"),
    "2": ("runs", "data", "published"),
    "3": ("runs", "data", "pair", "width"),
    "4": ("runs",),
    "80k": ("runs", "data", "published"),
    "later": ("data",),
}
#: Tables of BPKD, the student alone and CWD.
_GAINS = ("1", "2", "3", "4", "80k")


def _grids(
    number: str,
    runs: Path | None,
    data: list[str],
    pair: str | None,
    width: int | None,
    published: Path | None,
) -> list[Grid]:
    """A table, beside what was measured."""
    if number == "3":
        from bpkd.report.paper_trimap import by_class

        names = list(dict.fromkeys(data)) or ["cityscapes"]
        return [grid for d in names for grid in by_class(runs, d, pair or "pspnet", width, bar)]
    if number == "4":
        from bpkd.report.paper_instances import instances

        return [instances(runs, bar)]
    if number == "later":
        from bpkd.report.later import later

        return later(data)
    from bpkd.report.paper_layout import pairs_and_methods

    return pairs_and_methods(number, runs, data, published, bar)


def _gains(number: str) -> list[Grid]:
    from bpkd.report.paper_gains import gains

    return gains(number)


def _refuse(number: str, used: Collection[str], **options: object) -> None:
    """Options that say nothing about a table are not passed over in silence."""
    from bpkd.errors import UserError
    from bpkd.support.messages import suggestion

    if number.partition(" ")[0] not in _USED:
        known = suggestion(number, _USED)
        raise UserError(f"{number!r} is no table of the paper that is known here; {known}")
    for name, value in options.items():
        if value is not None and name not in used:
            raise UserError(f"table {number} has no use for --{name}; leave it out")
