"""The command that says where runs are wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bpkd.cli.common import Trust, app, bar, console


@app.command()
def analyse(
    runs: Annotated[list[Path], typer.Argument(help="Folders of runs on one data set.")],
    split: Annotated[str, typer.Option(help="train, val or test.")] = "val",
    out: Annotated[
        Path | None, typer.Option(help="Also draw it: PNG, PDF or SVG by its ending.")
    ] = None,
    table: Annotated[Path | None, typer.Option("--csv", help="Also write every number.")] = None,
    pairs: Annotated[int, typer.Option(min=0, help="How many mistaken pairs of classes.")] = 5,
    trust: Trust = False,
) -> None:
    """Say where runs are wrong, pixel by pixel.

    By distance to the outline (0: the pixel touches another class), by thickness of the object
    (the side of the largest square that fits into it there), by pair of classes; how often a
    student agrees with its teacher, and is right where the teacher is wrong; how well its
    confidence is calibrated within 2 pixels of an outline and away from it. Runs that differ in
    their seed alone are added. What each term's gradient is in training is not recorded in runs, so
    it is not here.

        bpkd analyse runs/camvid/plain runs/camvid/cwd runs/camvid/bpkd --out why.png --csv why.csv
    """
    from bpkd.recipe.trust import trusted
    from bpkd.report import analysis
    from bpkd.report.figure import check_kind, save
    from bpkd.report.figures.analysis import analysis_figure
    from bpkd.support.files import check_writable

    for file in (out, table):
        if file is not None:
            check_writable(file)
    if out is not None:
        check_kind(out)
    said: list[str] = []
    with trusted(trust, beside=True):
        found = analysis.analyse(runs, split=split, progress=bar, say=said.append)
    page = console()
    for shown in analysis.tables(found, pairs):
        page.print(shown)
    if table is not None:
        analysis.write_csv(found, table)
        said.append(f"table: {table}")
    if out is not None:
        save(analysis_figure(found), out)
        said.append(f"figure: {out}")
    print(*said, sep="\n", end="\n" if said else "")
