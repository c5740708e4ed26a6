"""The commands that list and print recipes, and fill the paper's tables."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from bpkd.recipe.loading import load_recipe
from tests.commands import bpkd, done, refused


def test_recipes_without_words_are_an_overview() -> None:
    lines = done("recipes").splitlines()
    assert any(line.startswith("table2/{ade20k,cityscapes,pascal_context}/") for line in lines)
    assert len(lines) < 15


@pytest.mark.parametrize("words", [("table2", "Cityscapes", "CWD"), ("TABLE2", "city", "/cwd")])
def test_recipes_are_found_in_any_case(words: tuple[str, ...]) -> None:
    found = [line.split()[0] for line in done("recipes", *words).splitlines() if "table2/" in line]
    pairs = ("deeplabv3plus", "hrnet", "isanet", "pspnet")
    assert found == [f"table2/cityscapes/{pair}/cwd" for pair in pairs]


def test_a_dash_is_as_good_as_an_underscore() -> None:
    assert "80k/pascal_context/hrnet/skds" in done("recipes", "80k", "pascal-context", "skds")


def test_what_a_recipe_trains() -> None:
    (line,) = (x for x in done("recipes", "80k/ade20k/pspnet/bpkd_pub").splitlines() if "80k" in x)
    recipe = ["80k/ade20k/pspnet/bpkd_published", "bpkd.published"]
    assert line.split() == [*recipe, "pspnet_r18", "pspnet_r101", "ADE20K", "80,000"]


def test_recipes_of_each_table() -> None:
    methods = ["bpkd", "bpkd_published", "cirkd", "cwd", "ifvd", "plain", "skds", "teacher"]
    found = [x.split()[0] for x in done("recipes", "table1").splitlines() if "table1/" in x]
    assert found == [f"table1/ade20k/pspnet/{method}" for method in methods]
    found = [x.split()[0] for x in done("recipes", "Table3").splitlines() if "table2/" in x]
    rows = ("plain", "cwd", "bpkd", "bpkd_published")
    assert found == [f"table2/cityscapes/pspnet/{method}" for method in rows]


def test_unknown_words_get_a_suggestion() -> None:
    assert "did you mean 'table2'?" in refused("recipes", "tabel2")
    assert "did you mean 'hrnet'?" in refused("recipes", "table2", "hrnt")


def test_a_printed_recipe_is_the_recipe(tmp_path: Path) -> None:
    text = done("recipe", "table2/cityscapes/pspnet/bpkd", "seed=3", "run=here")
    file = tmp_path / "whole.yaml"
    file.write_text(text)
    assert load_recipe(file) == load_recipe("table2/cityscapes/pspnet/bpkd", ["seed=3", "run=here"])
    assert "\nbase:" not in text and "cat_max_ratio: 0.75" in text
    assert "did you mean" in refused("recipe", "demo/bpdk")


def test_published_numbers_need_no_torch() -> None:
    """They are there at once: importing torch and its company takes seconds."""
    program = (
        "import sys; from bpkd.report.paper_layout import pairs_and_methods as table; "
        "from bpkd.report.paper_trimap import by_class; table('2', None, []); "
        "from bpkd.report.paper_instances import instances; instances(None); "
        "from bpkd.report.paper_gains import gains; gains('3'); "
        "by_class(None, 'cityscapes', 'pspnet'); "
        "sys.exit(any(name in sys.modules for name in ('torch', 'pydantic', 'omegaconf')))"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_warnings_go_to_standard_error(tmp_path: Path) -> None:
    code, out, err = bpkd("table", "2", "--runs", tmp_path, "--data", "ade20k", "--markdown")
    assert code == 0 and "| T: PSPNet-R101 |" in out and "a row is looked for" not in out
    assert err.startswith("bpkd: no run for ade20k: a row is looked for in")


def test_spreadsheet(tmp_path: Path) -> None:
    done("table", "80k", "--data", "ade20k", "--csv", tmp_path / "new" / "t.csv")
    assert len((tmp_path / "new" / "t.csv").read_text().splitlines()) == 1 + 32


def test_a_place_that_cannot_be_written_is_refused_at_once(tmp_path: Path) -> None:
    for command in (["table", "2"], ["compare", tmp_path], ["model", "demo/plain"]):
        line = refused(*command, "--csv", tmp_path)
        assert line.startswith(f"bpkd: {tmp_path}: cannot be written")
