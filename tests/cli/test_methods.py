"""``bpkd methods``: every loss of the package, with its paper, its arguments and its recipe."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from bpkd.recipe.loading import load_recipe
from bpkd.recipe.sections import GIVEN
from tests.cli.test_commands import OWN
from tests.commands import done, refused
from tests.losses.test_contract import ALL

PAGES = Path(__file__).parents[2] / "docs/methods"
every_loss = pytest.mark.parametrize("loss", ALL, ids=lambda loss: loss.__name__)


def test_the_list_has_every_loss_with_its_paper() -> None:
    entries = done("methods").split("\n\n")[:-1]
    assert {entry.partition(":")[0] for entry in entries} == {loss.__name__ for loss in ALL}
    for entry in entries:
        first, paper, use, weight = entry.split("\n")
        assert re.fullmatch(r"\w+: [a-z].{20,}[^.]", first), first
        assert re.fullmatch(r"    [A-Z].+, .+, .+ (19|20)\d\d", paper), paper
        assert use.startswith("    use: bpkd.losses.") and weight.startswith("    weight: {")
    assert max(map(len, "\n".join(entries).split("\n"))) <= 130


def test_the_list_as_markdown_is_one_table() -> None:
    lines = done("methods", "--markdown").splitlines()
    assert {line.count(" | ") for line in lines} == {4}
    assert len(lines) == len(ALL) + 2
    row = next(line for line in lines if line.startswith("| `DIST` |"))
    assert "| `bpkd.losses.dist.DIST` | `{inter: 1, intra: 1}` |" in row
    assert "Huang et al., Knowledge Distillation from A Stronger Teacher, NeurIPS 2022" in row


@every_loss
def test_a_page_has_every_argument_with_its_default(loss: type[Any]) -> None:
    page = done("methods", loss.__name__.lower())
    parameters = inspect.signature(loss).parameters
    for name, parameter in parameters.items():
        found = re.search(rf"^    {name} \((.*?)\): \S", page, flags=re.MULTILINE)
        if name in GIVEN:
            assert not found
            continue
        assert found, name
        default = parameter.default
        default = list(default) if isinstance(default, tuple) else default
        assert yaml.safe_load(found[1].replace("e-", ".0e-")) == default
    assert max(map(len, page.splitlines())) <= 100


@every_loss
def test_a_page_shows_what_a_recipe_reads(loss: type[Any], tmp_path: Path) -> None:
    page = done("methods", loss.__name__, "--markdown")
    block = page.partition("```yaml\n")[2].partition("```")[0]
    student = "student: {use: bpkd.networks.pspnet.PSPNet}\nteacher: runs/big\n"
    file = tmp_path / "mine.yaml"
    file.write_text(OWN + student + block)
    (entry,) = load_recipe(file).losses.values()
    assert (entry.use, entry.weight) == (f"{loss.__module__}.{loss.__name__}", loss.weights)
    page = re.search(r"docs/methods/(\w+\.md)", page)[1]
    assert (PAGES / page).is_file()


def test_a_name_finds_its_loss_first_and_then_all_of_its_method() -> None:
    assert done("methods", "CWD").count("use: ") == 1
    skds = done("methods", "skds")
    assert re.findall(r"use: bpkd\.losses\.(\S+)", skds) == [
        "holistic.Holistic",
        "skds.PairWise",
        "skds.PixelWise",
    ]
    assert done("methods", "CIRKD").count("use: ") == 3


def test_an_unknown_name_is_met_with_the_nearest() -> None:
    assert "no method is called 'fitnets'; did you mean 'fitnet'?" in refused("methods", "fitnets")
