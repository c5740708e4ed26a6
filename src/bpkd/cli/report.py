"""The command that makes a page of runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bpkd.cli.common import Split, Trust, app, bar
from bpkd.support.messages import printable


@app.command()
def report(
    runs: Annotated[
        list[str],
        typer.Argument(
            metavar="RUNS... [KEY=VALUE]...",
            help="Folders of runs on one data set; recipe keys to change, dotted, for all of them.",
        ),
    ],
    out: Annotated[Path, typer.Option(help="The page.")] = Path("report.html"),
    split: Split = "test",
    rows: Annotated[int, typer.Option(min=1, help="How many images it shows.")] = 4,
    images: Annotated[
        list[int] | None,
        typer.Option("--image", help="Which images; repeatable; else by the rule."),
    ] = None,
    width: Annotated[int, typer.Option(min=1, help="Of the trimap band, in pixels.")] = 3,
    candidates: Annotated[
        int | None, typer.Option(min=1, help="Choose images among the first ones; default all.")
    ] = None,
    trust: Trust = False,
) -> None:
    """Make one page of runs, for any browser: to be opened, and to be mailed.

    The table; images with a slider between two runs, and zoom; IoU and trimap IoU by class, of
    instances AP by class and by size; confusion matrices; training curves; cost; what differs in
    the recipes; environment. One file that needs no other, and no network. Runs that differ in
    their seed alone share a row.

        bpkd report runs/plain runs/cwd runs/bpkd --out report.html
        bpkd report runs/plain runs/bpkd data.root=elsewhere --split val
    """
    from bpkd.errors import UserError
    from bpkd.recipe.trust import trusted
    from bpkd.report.html.report import Asked
    from bpkd.report.html.report import report as write
    from bpkd.support.files import check_writable

    changes = [word for word in runs if "=" in word and not Path(word).exists()]
    folders = [word for word in runs if word not in changes]
    if not folders:
        raise UserError("no run was given; name the folders of runs, e.g. runs/plain runs/bpkd")
    check_writable(out)
    said: list[str] = []
    asked = Asked(split, rows, images, width, candidates)
    with trusted(trust, beside=True):
        write(folders, out, *changes, asked=asked, progress=bar, say=said.append)
    for line in said:
        print(printable(line))
    size = out.stat().st_size / 2**20
    print(f"report: {printable(str(out))} ({size:.1f} MiB), for any browser")
