"""The command that shares a student."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bpkd.cli.common import Run, Trust, app


@app.command()
def push(
    run: Run,
    name: Annotated[str, typer.Argument(metavar="USER/NAME", help="Where on the hub.")],
    seeds: Annotated[
        list[Path] | None,
        typer.Option("--seed", help="A run with another seed, for the spread; several times."),
    ] = None,
    licence: Annotated[
        str | None, typer.Option("--license", help="Of the student, e.g. apache-2.0.")
    ] = None,
    private: Annotated[bool, typer.Option("--private", help="For nobody else to see.")] = False,
    picture: Annotated[
        bool, typer.Option("--picture/--no-picture", help="Draw an image through the student.")
    ] = True,
    trust: Trust = False,
) -> None:
    """Push a student to the Hugging Face hub, with a model card.

    The card has the data, the teacher, the numbers of `bpkd evaluate`, outlines among them, what
    the network costs, and a picture. Paths of this machine stay here. Who you are, the hub knows
    from `hf auth login` or HF_TOKEN. From Python: `bpkd.push_to_hub`, `bpkd.from_pretrained`.

        bpkd push runs/student me/roads-pspnet-r18 --license apache-2.0
    """
    from bpkd.recipe.trust import trusted
    from bpkd.report.push import push_to_hub

    with trusted(trust, beside=True):
        address = push_to_hub(
            run, name, seeds=seeds or (), licence=licence, private=private, draw=picture
        )
    print(f"{address}")
