"""The documentation holds: links, recipes, numbers worked by hand, defaults, the example method."""

from __future__ import annotations

import contextlib
import doctest
import importlib.util
import inspect
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from torch import nn

from bpkd.networks.solov2.head import SOLOv2Head
from bpkd.recipe.dotted import resolve
from bpkd.recipe.files import shipped_recipes
from bpkd.recipe.loading import load_recipe
from bpkd.recipe.schema import Recipe
from tests.commands import done
from tests.losses import test_contract as contract
from tools import pages
from tools.pages import stale

ROOT = Path(__file__).parent.parent
PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")])
METHODS = sorted((ROOT / "docs/methods").glob("*.md"))
every_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
every_method = pytest.mark.parametrize("page", METHODS, ids=lambda page: page.stem)

# What a recipe fills in, and what the smallest example run wants.
HEAD = SOLOv2Head(4, 32, 32, 2, mask_channels=32, kernel_channels=32)
GIVEN = {
    "num_classes": 4,
    "student_channels": 6,
    "teacher_channels": 8,
    "student_head": HEAD,
    "teacher_head": HEAD,
}
TINY = ["max_iters=2", "batch_size=2", "data.size=[32,48]", "data.count=3", "augment.crop=[32,32]"]


def blocks(page: Path, language: str) -> list[str]:
    """The fenced blocks of a page, in one language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", page.read_text(), re.MULTILINE | re.DOTALL)


def prose(page: Path) -> str:
    """A page without its code."""
    text = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    return re.sub(r"`[^`\n]*`", "", re.sub(r"^    .*$", "", text, flags=re.MULTILINE))


def anchors(page: Path) -> set[str]:
    """The headings of a page, as links name them."""
    titles = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


# Pages --------------------------------------------------------------------------------------------


@every_page
def test_relative_links_resolve(page: Path) -> None:
    for link in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        if re.match(r"[a-z]+:", link):
            continue
        file, _, anchor = link.partition("#")
        target = (page.parent / file).resolve() if file else page
        assert target.is_relative_to(ROOT), f"{link} leads out of the repository"
        assert target.exists(), f"{link} leads nowhere"
        if anchor:
            assert anchor in anchors(target), f"{link}: no such heading"


@every_method
def test_formulas_are_closed(page: Path) -> None:
    for line in prose(page).splitlines():
        assert line.count("$") % 2 == 0, line
        # Markdown reads these before the formula does.
        assert not any(re.search(r"\\[{}|,;!]", inline) for inline in line.split("$")[1::2]), line
    for formula in blocks(page, "math"):
        assert formula.count("{") == formula.count("}")
        assert formula.count(r"\left") == formula.count(r"\right")
        assert r"\operatorname" not in formula, "GitHub refuses this macro"


# The site -----------------------------------------------------------------------------------------


def test_pages_made_from_the_code_are_current() -> None:
    assert not stale(), "run python -m tools.pages --write"


def test_a_page_that_is_not_current_is_told(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(pages, "DOCS", tmp_path)
    for name, make in pages.PAGES.items():
        (tmp_path / name).write_text(make(), encoding="utf-8")
    (tmp_path / "keys.md").write_text(pages.keys().replace("`max_iters`", "`iterations`"))
    assert stale() == ["keys.md"]


def test_keys_and_commands_are_all_there() -> None:
    keys = (ROOT / "docs/keys.md").read_text("utf-8")
    assert all(f"`{name}" in keys for name in Recipe.model_fields)
    commands = (ROOT / "docs/commands.md").read_text("utf-8")
    assert {"bpkd train", "bpkd data check", "bpkd table"} <= set(
        re.findall(r"^## (.*)$", commands, re.MULTILINE)
    )


def test_every_page_is_in_the_navigation() -> None:
    nav = (ROOT / "mkdocs.yml").read_text("utf-8").partition("\nnav:\n")[2]
    named = set(re.findall(r"([\w/]+\.md)$", nav, re.MULTILINE))
    lying = {page.name for page in (ROOT / "docs").glob("*.md")}
    assert lying <= named, f"mkdocs.yml does not name {sorted(lying - named)}"


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_site_is_built_without_a_warning(tmp_path: Path) -> None:
    pytest.importorskip("mkdocs")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet"]
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1", "PYTHONPATH": str(ROOT / "src")}
    built = subprocess.run(
        [*command, "--site-dir", str(tmp_path)],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (built.returncode, built.stderr) == (0, "")
    losses = (tmp_path / "reference/losses/index.html").read_text("utf-8")
    assert "bpkd.losses.bpkd.BPKD" in losses
    assert "edge_loss" in losses


@pytest.mark.parametrize("name", ["index", "coming_from"])
def test_recipes_of_guides_load(name: str, tmp_path: Path) -> None:
    for number, block in enumerate(blocks(ROOT / f"docs/{name}.md", "yaml")):
        file = tmp_path / ("teacher.yaml" if number == 0 else f"{number}.yaml")
        file.write_text(block)
        recipe = load_recipe(file)
        assert recipe.losses or name == "index"


# Recipes and tables -------------------------------------------------------------------------------


def recipes() -> Iterator[Any]:
    for page in METHODS:
        for number, block in enumerate(blocks(page, "yaml")):
            if "losses:" in block and page.stem != "new":
                yield pytest.param(block, id=f"{page.stem}-{number}")


@pytest.mark.parametrize("block", recipes())
def test_recipes_load_and_their_losses_are_built(block: str, tmp_path: Path) -> None:
    (tmp_path / "recipe.yaml").write_text(
        f"base: demo/plain\nteacher: runs/teacher\nmax_iters: 40000\n{block}"
    )
    recipe = load_recipe(tmp_path / "recipe.yaml")
    assert recipe.losses
    for entry in recipe.losses.values():
        loss = entry.build(**{name: value for name, value in GIVEN.items() if entry.accepts(name)})
        assert isinstance(loss, nn.Module)
        if isinstance(entry.weight, dict):
            assert set(entry.weight) <= set(loss.weights)


def described() -> dict[str, str]:
    """Section of each class that a page of its method describes, by dotted path."""
    pattern = re.compile(
        r"^### `(bpkd\.losses\.[\w.]+)`\n(.*?)(?=^##|\Z)", re.MULTILINE | re.DOTALL
    )
    return {path: text for page in METHODS for path, text in pattern.findall(page.read_text())}


def rows(section: str, head: str) -> dict[str, Any]:
    """First and second column of the table with that head; the second read as YAML."""
    table = section.partition(f"| {head} |")[2].partition("\n\n")[0]
    found = re.findall(r"^\| `(\w+)` \| `?([^|`]*?)`? \|", table, re.MULTILINE)
    return {name: yaml.safe_load(value) for name, value in found}


def test_every_loss_has_its_section() -> None:
    assert set(described()) == {f"{cls.__module__}.{cls.__name__}" for cls in contract.ALL}


@pytest.mark.parametrize("path", sorted(described()))
def test_tables_of_arguments_and_weights_are_right(path: str) -> None:
    loss, section = resolve(path), described()[path]
    parameters = inspect.signature(loss).parameters
    defaults = {name: each.default for name, each in parameters.items() if name not in GIVEN}
    assert rows(section, "argument") == {
        name: list(value) if isinstance(value, tuple) else value for name, value in defaults.items()
    }
    assert rows(section, "term") == loss.weights


def test_the_index_names_every_page_and_recipes_that_exist() -> None:
    text = (ROOT / "docs/methods/README.md").read_text()
    assert all(f"({page.name})" in text for page in METHODS if page.stem != "README")
    named = set(re.findall(r"`(methods/\w+)`", text))
    compared = {name for name in shipped_recipes() if name.startswith("methods/")}
    assert named == compared - {"methods/plain", "methods/teacher"}


def test_the_page_of_the_students_own_loss(tmp_path: Path) -> None:
    page = ROOT / "docs/own_loss.md"
    (tmp_path / "recipe.yaml").write_text(f"base: demo/plain\n{blocks(page, 'yaml')[0]}")
    recipe = load_recipe(tmp_path / "recipe.yaml")
    assert recipe.class_weights == "balanced" and recipe.task_loss.dice == 0.5
    plain = load_recipe("demo/plain", ["task_loss.ohem={}"]).model_dump()
    for key, default in re.findall(r"^\| `([\w.]+)` \| `?([\w.]+)`? \|", page.read_text(), re.M):
        value: Any = plain
        for part in key.split("."):
            value = value[part]
        if key != "task_loss.ohem":
            assert value == yaml.safe_load(default), key


def test_the_page_of_instances(tmp_path: Path) -> None:
    page = ROOT / "docs/instances.md"
    (tmp_path / "student.yaml").write_text(blocks(page, "yaml")[0])
    recipe = load_recipe(tmp_path / "student.yaml")
    assert recipe.schedule.milestones == [8000, 11000] and recipe.losses
    plain = load_recipe("table4/plain").__class__.model_fields
    defaults = {
        name: field.get_default(call_default_factory=True).model_dump(mode="json")
        for name, field in plain.items()
        if name in ("augment", "evaluation", "schedule")
    } | {"clip_grad": plain["clip_grad"].default}
    found = re.findall(r"^\| `([\w.]+)` \| `(.+?)` \|", page.read_text(), re.M)
    assert len(found) > 20
    for key, default in found:
        if "/" not in key and "." in key:
            section, _, name = key.partition(".")
            assert defaults[section][name] == yaml.safe_load(default), key
    named = set(re.findall(r"`((?:table4|instances)/\w+)`", page.read_text()))
    assert named == {n for n in shipped_recipes() if n.startswith(("table4/", "instances/"))}


# A method of one's own ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the files of new.md, by the names in their first lines."""
    folder = tmp_path_factory.mktemp("own")
    page = ROOT / "docs/methods/new.md"
    for block in [*blocks(page, "python"), *blocks(page, "yaml")]:
        folder.joinpath(block.splitlines()[0].removeprefix("# ")).write_text(block)
    assert {file.name for file in folder.iterdir()} == {"my_losses.py", "mine.yaml"}
    return folder


@pytest.fixture(scope="module")
def own(place: Path) -> Iterator[Any]:
    """The example's module, read from its file."""
    spec = importlib.util.spec_from_file_location("my_losses", place / "my_losses.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["my_losses"] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules["my_losses"]


def test_the_examples_doctest(own: Any) -> None:
    result = doctest.testmod(own)
    assert (result.attempted > 0, result.failed) == (True, 0)


RULES = {
    name: rule
    for name, rule in inspect.getmembers(contract, inspect.isfunction)
    if name.startswith("test_") and "cls" in inspect.signature(rule).parameters
}


@pytest.mark.parametrize("name", RULES)
def test_the_example_keeps_the_contract(name: str, own: Any) -> None:
    wanted = inspect.signature(RULES[name]).parameters
    RULES[name](own.Sure, **({"dtype": contract.torch.float32} if "dtype" in wanted else {}))


def test_the_page_has_a_line_for_each_rule() -> None:
    text = (ROOT / "docs/methods/new.md").read_text().partition("## The contract")[2]
    items = len(re.findall(r"^- ", text, re.MULTILINE))
    # Ignored pixels have two rules and one line.
    assert items == len(RULES) - 1, "the contract of docs/methods/new.md and the tests differ"


def test_the_example_trains(place: Path) -> None:
    commands = blocks(ROOT / "docs/methods/new.md", "sh")[0].splitlines()
    with contextlib.chdir(place):
        for command in commands:
            program, *arguments = command.split()
            assert program == "bpkd"
            done(*arguments, *TINY, "--quiet")
        columns = Path("runs/mine/training.csv").read_text().splitlines()[0].split(",")
    assert {"loss/sure.sure", "loss/cwd.cwd"} <= set(columns)
