"""The command that lists what a student can learn by."""

from __future__ import annotations

from typing import Annotated

import typer

from bpkd.cli.common import app


@app.command()
def methods(
    name: Annotated[
        str | None, typer.Argument(metavar="[METHOD]", help="One of them, to read it in full.")
    ] = None,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print it as Markdown.")] = False,
) -> None:
    """List the methods a student can learn by; or show one in full.

    In full: its arguments with their defaults, its terms with their weights, and how it stands
    in a recipe. The name of a method that has several losses (SKDS, CIRKD) shows them all.

        bpkd methods cwd
    """
    from bpkd.report.described import losses
    from bpkd.report.method_list import entry, markdown_table, named, page

    found = losses()
    if name is not None:
        print("\n\n".join(page(loss, markdown) for loss in named(name, found)))
    elif markdown:
        print(markdown_table(found))
    else:
        print("\n\n".join(map(entry, found)))
        print("\nbpkd methods NAME shows one in full: arguments, terms, how it stands in a recipe.")
