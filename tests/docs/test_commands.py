"""Each command line of a page is one that the program's own parser takes; cheap ones are run."""

from __future__ import annotations

import argparse
import importlib
import re
import sys
from pathlib import Path
from typing import Any

import pytest
import typer

import bpkd.cli
from bpkd.recipe.files import shipped_recipes
from bpkd.recipe.loading import load_recipe
from tests.commands import done
from tests.docs.blocks import PAGES, ROOT, commands, short

LINES = [(page, words) for page in PAGES for words in commands(page)]
#: Commands that read the package alone.
CHEAP = ("methods", "recipes", "recipe", "table", "--version", "--help")


class Parsed(Exception):
    """A parser has taken the words; nothing is to be done with them."""


def parsed(words: list[str]) -> tuple[str, dict[str, Any]]:
    """The command that ``bpkd WORDS`` calls, and with which values, by the real command line."""
    command: Any = typer.main.get_command(bpkd.cli.app)
    context, name = command.make_context("bpkd", list(words)), "bpkd"
    while hasattr(command, "commands"):
        name, command, rest = command.resolve_command(
            context, context._protected_args + context.args
        )
        context = command.make_context(name, rest, parent=context)
    return name, context.params


def unique(program: str) -> list[Any]:
    found = {" ".join(words): (page, words) for page, words in LINES if words[0] == program}
    return [pytest.param(words[1:], id=f"{short(page)}: {line}") for line, (page, words) in
            found.items()]  # fmt: skip


def test_pages_have_many_command_lines() -> None:
    assert len(unique("bpkd")) > 100 and len(unique("python")) > 15


@pytest.mark.parametrize("words", unique("bpkd"))
def test_a_command_is_parsed_and_its_keys_are_keys(words: list[str]) -> None:
    if words[-1].startswith("--") and words[-1] in ("--help", "--version"):
        assert done(*words)
        return
    name, given = parsed(words)
    if name not in ("train", "recipe", "tune"):
        return
    source, overrides = str(given.get("recipe") or given["source"]), given.get("overrides") or []
    shipped = source in shipped_recipes()
    assert shipped or source.endswith(".yaml"), f"there is no recipe {source}"
    wanted = [each for each in overrides if "my_" not in each]  # a module beside the recipe
    # Of a page's own recipes the keys are tried on one that has the loss and a teacher.
    base = source if shipped else "demo/cwd" if "cwd" in source else "demo/bpkd"
    assert load_recipe(base, wanted)


#: What a program calls for its words.
PARSERS = ("parse_args", "parse_intermixed_args")


@pytest.mark.parametrize("words", unique("python"))
def test_a_program_of_the_tree_takes_its_words(
    words: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    if words[0] != "-m":
        names = {file.name for file in (ROOT / "examples").rglob("*.py")}
        assert Path(words[0]).name in names or Path(words[0]).exists(), words[0]
        return
    if words[1] in ("doctest", "venv", "pip", "build", "http.server", "pytest"):
        return
    real = {name: getattr(argparse.ArgumentParser, name) for name in PARSERS}

    def parse(name: str) -> Any:
        def parsed_at_once(parser: argparse.ArgumentParser, given: Any = None, *_: Any) -> None:
            real[name](parser, given)
            raise Parsed

        return parsed_at_once

    if words[1] == "bpkd":
        parsed(words[2:])
        return
    module = importlib.import_module(words[1])
    if words[1].startswith("tools."):
        assert Path(str(module.__file__)).is_file()
        return
    plain = [re.sub(r"^\[|\]$", "", each) for each in words[2:]]
    for name in PARSERS:
        monkeypatch.setattr(argparse.ArgumentParser, name, parse(name))
    monkeypatch.setattr(sys, "argv", ["benchmark", *plain])
    with pytest.raises(Parsed):
        module.main()


@pytest.mark.parametrize("words", unique("make"))
def test_a_target_of_the_makefile(words: list[str]) -> None:
    targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
    assert set(words) <= set(targets)


def cheap() -> list[Any]:
    """Commands that read nothing but the package, and write nothing."""
    return [
        each
        for each in unique("bpkd")
        if each.values[0][0] in CHEAP
        and not {"--runs", "--out", "--csv", "--html"} & set(each.values[0])
        and not any(word.endswith(".yaml") for word in each.values[0])
    ]


@pytest.mark.parametrize("words", cheap())
def test_a_cheap_command_prints(words: list[str], tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    assert done(*words)
