"""Each YAML block of a page is a recipe, or what a recipe may hold: it loads."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from bpkd.recipe.loading import load_recipe
from tests.docs.blocks import PAGES, Block, fenced

YAML = [block for page in PAGES for block in fenced(page) if block.language == "yaml"]


def recipes(block: Block) -> list[str]:
    """What stands apart by an empty line and begins a key again is another recipe."""
    found = [""]
    for part in re.split(r"\n\n", block.text):
        keys = re.findall(r"^\w+", part, re.MULTILINE)
        again = set(keys) & set(re.findall(r"^\w+", found[-1], re.MULTILINE))
        found = [*found, part] if again else [*found[:-1], f"{found[-1]}\n{part}"]
    return found


@pytest.mark.parametrize("block", YAML, ids=str)
def test_a_block_loads(block: Block, tmp_path: Path) -> None:
    (tmp_path / "id2label.json").write_text(json.dumps({"0": "road"}))
    (tmp_path / "teacher.yaml").write_text("base: demo/plain\n")
    for number, text in enumerate(recipes(block)):
        content: dict[str, Any] = yaml.safe_load(text) or {}
        assert content, text
        if "base" not in content:
            instance = "instance" in text
            content["base"] = "instances/bpkd" if instance else "demo/bpkd"
        file = tmp_path / f"{number}.yaml"
        file.write_text(yaml.safe_dump(content, sort_keys=False))
        # The stand-in is short; a page speaks of a real run's iterations.
        given = [] if "max_iters" in content else ["max_iters=40000"]
        assert load_recipe(file, given, imports="known")
