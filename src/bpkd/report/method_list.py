"""What a student can learn by: each loss with its paper, its arguments and its place in a recipe.

All of it is read from the losses themselves: their files' first paragraphs, their docstrings.
"""

from __future__ import annotations

import re
import textwrap
from typing import Any

from bpkd.errors import UserError
from bpkd.recipe.sections import GIVEN
from bpkd.report.described import Described
from bpkd.support.messages import suggestion

SCHEDULE = """\
Beside these keys any loss takes ramp: 1000 (iterations of a linear rise to its weight),
from: 500 and until: 30000 (it counts in between), and decay: cosine or linear (to 0 at until,
or at the end).
"""


def summary(loss: Described) -> str:
    """What a method does, in a line: the first one of its file, without the acronym."""
    return _paragraphs(loss)[0].partition(": ")[2].rstrip(".")


def reference(loss: Described) -> str:
    """Authors, title, venue and year: how the second paragraph of its file begins."""
    return re.match(r".*?\b\d{4}\b", _paragraphs(loss)[1]).group()  # type: ignore[union-attr]


def arguments(loss: Described) -> list[tuple[str, str, str]]:
    """Name, default and meaning of each argument that a recipe may give."""
    _, _, section = loss.doc.partition("Args:\n")
    section = section.partition("\n\n")[0]
    meanings = dict(re.findall(r"^ {4}(\w+): (.*(?:\n {8}.*)*)", section, flags=re.MULTILINE))
    return [
        (name, _yaml(default), " ".join(meanings[name].split()))
        for name, default in loss.arguments.items()
        if name not in GIVEN
    ]


def recipe(loss: Described) -> str:
    """The loss as it stands in a recipe, with its default weights."""
    name = loss.name.lower()
    return f"losses:\n  {name}:\n    use: {loss.use}\n    weight: {_weights(loss)}"


def named(name: str, found: list[Described]) -> list[Described]:
    """The loss of that name, or those of the method of that name; in any case of letters.

    Raises:
        UserError: there is none.
    """
    wanted = name.lower()
    chosen = [loss for loss in found if loss.name.lower() == wanted]
    chosen = chosen or [loss for loss in found if _method(loss).lower() == wanted]
    if not chosen:
        known = (loss.name.lower() for loss in found)
        raise UserError(f"no method is called {name!r}; {suggestion(wanted, known)}")
    return chosen


def _paragraphs(loss: Described) -> list[str]:
    return [" ".join(part.split()) for part in loss.file_doc.split("\n\n")]


def _method(loss: Described) -> str:
    """The acronym that its file begins with, which is also its page's name."""
    return re.split(r"\W", _paragraphs(loss)[0])[0]


def _weights(loss: Described) -> str:
    terms = ", ".join(f"{term}: {_yaml(weight)}" for term, weight in loss.weights.items())
    return f"{{{terms}}}"


def _yaml(value: Any) -> str:
    """A default as a recipe would give it."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_yaml, value))}]"
    return f"{value:g}" if isinstance(value, float) else str(value)


def entry(loss: Described) -> str:
    """A loss in the list of all."""
    lines = [reference(loss), f"use: {loss.use}", f"weight: {_weights(loss)}"]
    return f"{loss.name}: {summary(loss)}\n" + textwrap.indent("\n".join(lines), "    ")


def markdown_table(found: list[Described]) -> str:
    """The list of all as Markdown."""
    rows = [
        f"| `{loss.name}` | {summary(loss)} | {reference(loss)} | `{loss.use}` "
        f"| `{_weights(loss)}` |"
        for loss in found
    ]
    head = "| loss | what follows the teacher | paper | `use` | default `weight` |"
    return "\n".join([head, "| --- | --- | --- | --- | --- |", *rows])


def page(loss: Described, markdown: bool) -> str:
    """All about one loss."""
    paper = reference(loss) + "."
    if markdown:
        title, fence = f"## {loss.name}: {summary(loss)}", f"```yaml\n{recipe(loss)}\n```"
        listed = [f"- `{name}` (`{default}`): {text}" for name, default, text in arguments(loss)]
    else:
        title, fence = f"{loss.name}: {summary(loss)}", textwrap.indent(recipe(loss), "    ")
        paper = textwrap.fill(paper, 98)
        fill = textwrap.TextWrapper(80, initial_indent="    ", subsequent_indent="        ")
        listed = [
            fill.fill(f"{name} ({default}): {text}") for name, default, text in arguments(loss)
        ]
    return "\n\n".join(
        [
            title,
            paper,
            "In a recipe, with the default weight of each of its terms:",
            fence,
            "Arguments, with their defaults:",
            "\n".join(listed),
            SCHEDULE.rstrip(),
            f"In full: docs/methods/{_method(loss).lower()}.md",
        ]
    )
