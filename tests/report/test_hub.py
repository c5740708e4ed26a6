"""Students go to a hub and come back: against a small hub of our own, on this machine."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

import bpkd
from tests.commands import done, refused
from tests.hub import Hub, serving
from tests.runs import run

pytest.importorskip("huggingface_hub")


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[type[Hub]]:
    with serving(monkeypatch, tmp_path / "cache") as kind:
        yield kind


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two runs that differ in their seed."""
    from tests.runs import TINY

    file = tmp_path_factory.mktemp("hub") / "tiny.yaml"
    file.write_text(TINY)
    return [run(file, f"seed{seed}", f"seed={seed}", "max_iters=2") for seed in (0, 1)]


def test_there_and_back(hub: type[Hub], trained: list[Path], monkeypatch: Any) -> None:
    first, second = trained
    done("evaluate", first)
    done("evaluate", second)
    told = done("push", first, "me/tiny", "--seed", second, "--license", "mit")
    assert told.strip().endswith("/me/tiny")
    assert set(hub.files) >= {"README.md", "picture.png", "recipe.yaml", "student.safetensors"}
    assert not any(name.endswith(".ckpt") for name in hub.files)
    assert str(first.parent).encode() not in b"".join(
        content for name, content in hub.files.items() if name != "student.safetensors"
    )
    images = torch.rand(1, 3, 32, 48)
    theirs = bpkd.from_pretrained("me/tiny")
    assert torch.equal(theirs(images).logits, bpkd.load(first)(images).logits)
    assert theirs.classes == bpkd.load(first).classes

    head, text = hub.files["README.md"].decode().split("---\n")[1:3]
    assert yaml.safe_load(head)["license"] == "mit"
    scores = [
        json.loads((folder / "evaluation_test.json").read_text())["scores"] for folder in trained
    ]
    mean = 50 * sum(each["mIoU"] for each in scores)
    assert f"| mIoU | {mean:.1f} ± " in text and "mean ± standard deviation of 2 runs" in text
    assert "| boundary IoU |" in text and "M parameters" in text
    assert "road" in text and "2, 2 images each" in text and "](picture.png)" in text


def test_without_evaluation_numbers_are_the_last_validations(hub: type[Hub], recipe: Path) -> None:
    folder = run(recipe, "run", "max_iters=2")
    told = done("push", folder, "me/tiny", "--no-picture")
    assert "picture" not in told
    text = hub.files["README.md"].decode()
    assert "On the val split" in text and "None is given" in text and "![" not in text
    assert "license:" not in text


def test_other_recipes_are_no_seeds(hub: type[Hub], trained: list[Path], recipe: Path) -> None:
    other = run(recipe, "other", "max_iters=1")
    line = refused("push", trained[0], "me/tiny", "--seed", other, "--no-picture")
    assert "differs in more than the seed" in line
    assert not hub.files


def test_what_the_hub_refuses_is_one_line(hub: type[Hub], trained: list[Path]) -> None:
    hub.refusing = True
    assert "me/tiny: not pushed: " in refused("push", trained[0], "me/tiny", "--no-picture")


def test_what_is_not_there_is_one_line(hub: type[Hub], tmp_path: Path) -> None:
    with pytest.raises(bpkd.UserError, match=r"^nobody/nothing: not fetched from the hub: "):
        bpkd.from_pretrained("nobody/nothing")
    hub.files["README.md"] = b"# a model"
    with pytest.raises(bpkd.UserError, match=r"me/tiny on the hub is no student of bpkd: it has"):
        bpkd.from_pretrained("me/tiny")


def test_a_folder_is_as_good(trained: list[Path]) -> None:
    assert bpkd.from_pretrained(trained[0]).classes
