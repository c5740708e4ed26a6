"""The pages that are made from the code: commands, recipe keys, arguments, annotation formats.

``python -m tools.pages`` says whether they are current, ``--write`` makes them so.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import os
import pkgutil
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import typer
from pydantic import BaseModel
from torch import nn
from torch.utils.data import Dataset

import bpkd.cli
import bpkd.datasets
import bpkd.networks
from bpkd.datasets.annotations import listing
from bpkd.recipe.schema import Recipe

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
ANNOTATIONS = DOCS / "annotations.md"
MADE = "<!-- Made from the code by `python -m tools.pages --write`: change it there. -->\n\n"


def commands() -> str:
    """Every command with its arguments, as ``--help`` has them."""
    group: Any = typer.main.get_command(bpkd.cli.app)
    lines = [MADE + "# Commands\n", bpkd.cli.HELP.strip() + "\n"]
    for path, command in _walk("bpkd", group):
        lines.append(f"## {path}\n")
        lines.append((command.help or "").strip() + "\n")
        lines.append(_usage(path, command))
    return "\n".join(lines).rstrip() + "\n"


def _walk(path: str, group: Any) -> Iterator[tuple[str, Any]]:
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from _walk(f"{path} {name}", command)
        elif not command.hidden:
            yield f"{path} {name}", command


def _usage(path: str, command: Any) -> str:
    """A table of what a command takes."""
    rows = ["| argument | default | what it is |", "| --- | --- | --- |"]
    for each in command.params:
        if each.param_type_name == "argument":
            name = each.metavar or each.name.upper()
        else:
            name = ", ".join(sorted(each.opts, key=len, reverse=True))
        default = "(needed)" if each.required else _shown(each.default)
        rows.append(f"| `{name}` | {default} | {_cell(each.help or '')} |")
    return "\n".join(rows) + "\n" if command.params else ""


def annotations() -> str:
    """The page of other tools' annotations, with the table of formats as it is today."""
    page = ANNOTATIONS.read_text("utf-8")
    before, head, rest = page.partition("| `format` |")
    return before + listing.markdown() + rest[rest.index("\n\n") :] if head else page


def keys() -> str:
    """Every key of a recipe that is no component's own argument, with its default."""
    rows = ["| key | default | type |", "| --- | --- | --- |", *_fields(Recipe, "")]
    text = (
        "# Keys of a recipe\n\nA component (`data`, `student`, `teacher`, each of `losses`, "
        "`optimizer`) also takes the arguments of the class that its `use` names: see "
        "[arguments](arguments.md) and the pages of the [methods](methods/README.md). "
        "`bpkd recipe FILE` prints a recipe whole, with every default.\n\n"
    )
    return MADE + text + "\n".join(rows) + "\n"


def _fields(section: type[BaseModel], prefix: str, given: Any = None) -> Iterator[str]:
    """A row a key; ``given`` has the defaults where the section as a whole has one."""
    for name, field in section.model_fields.items():
        key = f"{prefix}{field.alias or name}"
        inner = list(_sections(field.annotation))
        has_default = given is not None or not field.is_required()
        default = getattr(given, name, None) or field.get_default(call_default_factory=True)
        if not (inner and isinstance(default, BaseModel)):
            shown = _shown(default) if has_default else "(needed)"
            yield f"| `{key}` | {shown} | {_cell(_kind(field.annotation))} |"
        within = f"{key}.NAME." if key == "losses" else f"{key}."
        for each in inner:
            yield from _fields(each, within, default if isinstance(default, each) else None)


def _sections(annotation: Any) -> Iterator[type[BaseModel]]:
    """The sections that a type speaks of."""
    if inspect.isclass(annotation) and issubclass(annotation, BaseModel):
        yield annotation
    for each in get_args(annotation):
        yield from _sections(each)


def _kind(annotation: Any) -> str:
    """A type in words."""
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _kind(inner[0])
    if origin is Literal:
        return " or ".join(f"`{each}`" for each in inner)
    if origin in (Union, UnionType):
        return " or ".join(_kind(each) for each in inner)
    shapes: dict[Any, Callable[[], str]] = {
        tuple: lambda: f"[{', '.join(_kind(each) for each in inner)}]",
        list: lambda: f"list of {_kind(inner[0])}",
        dict: lambda: f"{_kind(inner[1])} by name",
    }
    if origin in shapes:
        return shapes[origin]()
    return WORDS.get(annotation, "keys below")


def arguments() -> str:
    """Data sets and networks with their arguments and defaults."""
    parts = [
        MADE + "# Arguments of data sets and networks\n",
        "What a recipe gives beside `use`. `split` and `num_classes` are filled in. The losses are "
        "on the pages of the [methods](methods/README.md).\n",
        "## Data sets\n",
        *(_described(path, each) for path, each in data_sets()),
        "## Networks\n",
        *(_described(path, each) for path, each in networks()),
    ]
    return "\n".join(parts).rstrip() + "\n"


def data_sets() -> Iterator[tuple[str, Callable[..., Any]]]:
    """Every data set of the package, by its dotted path."""
    for info in sorted(pkgutil.iter_modules(bpkd.datasets.__path__), key=lambda each: each.name):
        module = importlib.import_module(f"bpkd.datasets.{info.name}")
        for name, each in inspect.getmembers(module, inspect.isclass):
            own = each.__module__ == module.__name__ and not name.startswith("_")
            if own and issubclass(each, Dataset) and "split" in inspect.signature(each).parameters:
                yield f"{module.__name__}.{name}", each


def networks() -> Iterator[tuple[str, Callable[..., Any]]]:
    """Every network by its public name."""
    foreign = importlib.import_module("bpkd.networks.foreign")
    for home in (bpkd.networks, foreign):
        for name in home.__all__:
            each = getattr(home, name)
            taken = inspect.signature(each).parameters
            if "num_classes" in taken and (
                not inspect.isclass(each) or issubclass(each, nn.Module)
            ):
                yield f"{home.__name__}.{name}", each


def _described(path: str, target: Callable[..., Any]) -> str:
    doc = inspect.getdoc(target) or ""
    rows = []
    for name, each in inspect.signature(target).parameters.items():
        if name in ("split", "num_classes", "self") or each.kind is each.VAR_POSITIONAL:
            continue
        stars = "**" if each.kind is each.VAR_KEYWORD else ""
        default = _shown(each.default) if each.default is not each.empty else "(needed)"
        default = "" if stars else default
        rows.append(f"| `{stars}{name}` | {default} | {_cell(_said(doc, name))} |")
    head = "| argument | default | what it is |\n| --- | --- | --- |\n"
    first = doc.partition("\n\n")[0].replace("\n", " ")
    table = head + "\n".join(rows) + "\n" if rows else ""
    return f"### `{path}`\n\n{_plain(first)}\n\n{table}"


def _said(doc: str, name: str) -> str:
    """What a docstring says about an argument."""
    section = doc.partition("Args:\n")[2]
    found = re.search(rf"^    {name}: (.*(?:\n     +.*)*)", section, re.MULTILINE)
    return re.sub(r"\s+", " ", found[1]) if found else ""


def _plain(text: str) -> str:
    """A docstring's text as Markdown."""
    text = re.sub(r":\w+:`~?([^`]*)`", r"`\1`", text)
    return text.replace("``", "`")


def _cell(text: str) -> str:
    return _plain(re.sub(r"\s+", " ", text)).replace("|", "\\|")


def _shown(value: Any) -> str:
    """A default as a recipe would say it."""
    if isinstance(value, BaseModel):
        value = value.model_dump()
    if value is None or isinstance(value, bool):
        return f"`{'null' if value is None else str(value).lower()}`"
    value = value.as_posix() if isinstance(value, Path) else value
    value = '""' if value == "" else value
    return f"`{list(value) if isinstance(value, tuple) else value}`"


#: Types in words.
WORDS: dict[Any, str] = {
    int: "whole number",
    float: "number",
    str: "text",
    bool: "true or false",
    Any: "anything",
    type(None): "null",
}


def benchmarks() -> str:
    """Every benchmark: what it measures, and the pages with its numbers."""
    pages = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
    texts = {page: page.read_text("utf-8") for page in pages if page.name != "benchmarks.md"}
    rows = ["| `python -m benchmarks.` | what it measures | numbers |", "| --- | --- | --- |"]
    for file in sorted((ROOT / "benchmarks").glob("*.py")):
        module = ast.parse(file.read_text("utf-8"))
        if not any(
            isinstance(each, ast.FunctionDef) and each.name == "main" for each in module.body
        ):
            continue  # what several share
        what = (ast.get_docstring(module) or "").split("\n\n", 1)[0].replace("\n", " ")
        found = [page for page, text in texts.items() if f"benchmarks.{file.stem}" in text]
        links = [f"[{page.stem}]({os.path.relpath(page, ROOT / 'docs')})" for page in found]
        rows.append(f"| `{file.stem}` | {_cell(what)} | {', '.join(links)} |")
    text = (
        "# Benchmarks\n\nWhat is said of speed and memory was measured in one run by "
        "a program of the repository's folder `benchmarks`, on whatever machine you have; `--help` "
        "says what each takes. `make bench` runs the quick ones. How well methods do is another "
        "matter: [results](results.md). What a network costs: `bpkd model`; how fast files are: "
        "`bpkd bench`.\n\n"
    )
    return MADE + text + "\n".join(rows) + "\n"


PAGES: dict[str, Callable[[], str]] = {
    "commands.md": commands,
    "keys.md": keys,
    "arguments.md": arguments,
    "annotations.md": annotations,
    "benchmarks.md": benchmarks,
}


def stale() -> list[str]:
    """The pages that are not what the code says now."""
    return [
        name
        for name, make in PAGES.items()
        if not (DOCS / name).is_file() or (DOCS / name).read_text("utf-8") != make()
    ]


def main() -> None:
    """Write them, or name those that are not current."""
    if "--write" in sys.argv:
        for name, make in PAGES.items():
            (DOCS / name).write_text(make(), encoding="utf-8")
        return
    if old := stale():
        sys.exit(f"not current: {', '.join(old)}; run python -m tools.pages --write")


if __name__ == "__main__":
    main()
