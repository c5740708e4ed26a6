"""The command that looks after what teachers said."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from bpkd.cli.common import app, bar, draw


@app.command()
def cache(
    folder: Annotated[Path, typer.Argument(help="What teacher_cache names in a recipe.")],
    check: Annotated[
        bool, typer.Option("--check", help="Read every record; exit code 1 if one is torn.")
    ] = False,
    prune: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Take that cache away; the first letters will do."),
    ] = None,
    unused: Annotated[
        float | None,
        typer.Option(metavar="DAYS", min=0, help="Take away those that no run used for so long."),
    ] = None,
) -> None:
    """List, check and prune the teacher's kept outputs.

    Each line is one teacher on one data set, augmentation, draws seed and type of numbers:
    everything that decides what a record holds. NAME/cache.json has all of it.

    A torn record, such as one that was being written when a run was killed, is never read: the
    next run that needs it computes it again.

        bpkd cache cache
        bpkd cache cache --check
        bpkd cache cache --prune 3fa9 --unused 30
    """
    from bpkd.support.columns import Columns
    from bpkd.training.teacher_cache.folders import caches, in_use, size_of
    from bpkd.training.teacher_cache.folders import prune as take

    found = list(caches(folder, check, partial(bar, what="reading")))
    chosen = list(prune or ())
    if unused is not None:
        old = [each for each in found if each.unused >= unused and not in_use(each.folder)]
        chosen += [each.folder.name for each in old]
    header = ["cache", "teacher", "data", "crop", "draws", "type", "records", "size", "unused"]
    rows = []
    for each in found:
        about = each.about
        kind = about.get("dtype", "?") + (f" top {k}" if (k := about.get("top_k")) else "")
        held = ", ".join(f"{name} {number:,}" for name, number in each.tensors.items())
        row = [
            each.folder.name,
            _short(about.get("teacher")),
            _short(about.get("data")),
            "x".join(map(str, about.get("augment", {}).get("crop", "?"))),
            str(about.get("draws", "?")),
            kind,
            (held or "none") + (f", {each.torn:,} torn" if each.torn else ""),
            size_of(each.size),
            "in use" if in_use(each.folder) else f"{each.unused:.0f} d",
        ]
        rows.append(row)
    draw(Columns(header, rows, numbers=False))
    for gone in take(folder, chosen):
        print(f"taken away: {gone}")
    if check and any(each.torn for each in found):
        raise typer.Exit(1)


def _short(component: dict[str, object] | None) -> str:
    """The last name of what a recipe's ``use`` names."""
    return str((component or {}).get("use", "?")).rpartition(".")[2]
