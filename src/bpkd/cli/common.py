"""What the commands share: the application, arguments that several take, console and bar."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import track
from typer.core import TyperGroup

from bpkd.cli.ending import Ended
from bpkd.support.columns import Columns
from bpkd.support.messages import printable


class Commands(TyperGroup):
    """Typer's own group says "Aborted." and exits with 1 where a signal ends a command."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as signal:
            raise Ended(signal) from None


app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
)

Overrides = Annotated[
    list[str] | None,
    typer.Argument(metavar="KEY=VALUE", help="Recipe keys to change, dotted."),
]
Run = Annotated[Path, typer.Argument(help="The folder of a run, or a network's file.")]
Split = Annotated[str, typer.Option(help="train, val or test.")]
Trust = Annotated[
    bool,
    typer.Option(
        "--trust",
        help="Run the code that it names outside the known libraries: a recipe, and a run's "
        "folder, is a program.",
    ),
]
Checkpoint = Annotated[str, typer.Option(help="student (the weights at the end), best or last.")]


def put(text: str) -> None:
    """Print; where nobody reads on, as after ``| head -1``, the command ends as it would."""
    _sent(printable(text))


def draw(table: Columns) -> None:
    """Print a table, bold where the terminal can; its cells command no terminal themselves."""
    page = console()
    with page.capture() as captured:
        page.print(table)
    _sent(captured.get().rstrip("\n"))


def _sent(text: str) -> None:
    try:
        print(text, flush=True)
    except BrokenPipeError:
        # What is still in Python's buffer goes nowhere too, instead of failing at the end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def console() -> Console:
    """Tables fit the terminal; in a file or a pipe they need not be cut."""
    return Console(width=None if sys.stdout.isatty() else 200)


def bar(loader: Iterable[Any], what: str = "measuring") -> Iterator[Any]:
    """A progress bar that goes away when it is done; on a terminal alone."""
    where = Console(stderr=True)
    if not where.is_terminal:  # older rich leaves empty lines there, even of a bar that is disabled
        return iter(loader)
    return iter(track(loader, what, transient=True, console=where))
