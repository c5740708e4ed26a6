"""The command that says what networks cost."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bpkd.cli.common import Trust, app, bar, console
from bpkd.errors import UserError


@app.command()
def model(
    names: Annotated[
        list[str],
        typer.Argument(
            metavar="NAME [KEY=VALUE]...",
            help="A network of bpkd.networks, a dotted path, a recipe or a run's folder.",
        ),
    ],
    size: Annotated[tuple[int, int], typer.Option(help="Height and width of the image.")] = (
        512,
        512,
    ),
    classes: Annotated[
        int | None,
        typer.Option(min=1, help="Classes; else a recipe's own, a network's default, or 19."),
    ] = None,
    device: Annotated[
        str | None, typer.Option(help="cpu or cuda; else cuda where there is one.")
    ] = None,
    no_timing: Annotated[
        bool, typer.Option("--no-timing", help="Count alone, without milliseconds and memory.")
    ] = False,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print it as Markdown.")] = False,
    table: Annotated[Path | None, typer.Option("--csv", help="Also write it as CSV.")] = None,
    trust: Trust = False,
) -> None:
    """Say what networks cost, side by side and part by part.

    Parameters, multiply-adds, output stride, and milliseconds and memory on this machine; below
    the table, how each is counted. Of a recipe it shows the student, and the teacher.

        bpkd model pspnet_r101 pspnet_r18 --size 512 512 --classes 19

    KEY=VALUE is an argument of the network that it follows, or changes the recipe that it follows:

        bpkd model PSPNet backbone=resnet18 PSPNet backbone=resnet50 channels=256
    """
    from bpkd.networks.speed import find_device
    from bpkd.recipe.trust import trusted
    from bpkd.report import model as report
    from bpkd.report.named import named
    from bpkd.support.files import check_writable

    if min(size) < 1:
        raise UserError(f"--size {size[0]} {size[1]}: expected sides of at least 1 pixel")
    if table is not None:
        check_writable(table)
    where = None if no_timing else find_device(device)
    with trusted(trust, beside=True):
        networks = named(names, classes)
        summaries = [
            report.summarise(each.name, each.classes, each.build(), size, where, bar)
            for each in networks
        ]
    notes = report.notes(summaries, size, where)
    if markdown:
        print("\n\n".join([report.markdown(summaries).rstrip(), *notes]))
    else:
        page = console()
        page.print(report.terminal(summaries))
        page.print("\n\n".join(notes), markup=False, highlight=False)
    if table is not None:
        report.write_csv(summaries, size, table)
