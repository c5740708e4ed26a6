"""Pages are typed from top to bottom, as a person would, in a folder with photos."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest

from tests.commands import bpkd
from tests.docs import place
from tests.docs.blocks import ROOT, commands
from tests.hub import serving

#: The pages, and what is in the folder before: photos of a tool, or two recipes as well.
PAGES = ["README.md", "docs/index.md", "docs/annotations.md", "docs/export.md", "docs/hub.md"]
#: What is not at hand here: published data.
NOT_HERE = ("cityscapes", "table2")
SMALL = ("data.size=[32,48]", "data.count=3")


def tried(words: list[str], folder: Path) -> list[str]:
    """A command line in few iterations, of small images."""
    command = words[0]
    if command in ("train", "distill") and "instances/" not in words[1]:
        return [*words, "--quiet", *place.TINY, *place.CROP]
    if command == "train":
        given = ("augment.sizes=[[96,64]]", "student.weights=null", "data.count=3")
        return [*words, "--quiet", *place.TINY, *given]
    if command == "demo":
        return [*words, "max_iters=2", "batch_size=2", *SMALL, *place.CROP]
    if command == "init":
        for file in ("teacher.yaml", "student.yaml"):
            (folder / file).unlink(missing_ok=True)
    return words


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_typed(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("onnxruntime")
    place.furnish(tmp_path)
    if "init" not in (ROOT / name).read_text("utf-8") and "train" not in name:
        place.train(tmp_path)
    lines = [words[1:] for words in commands(ROOT / name) if words[0] == "bpkd"]
    lines = [words for words in lines if not any(far in " ".join(words) for far in NOT_HERE)]
    if name == "README.md":  # make demo comes before them
        lines.insert(0, ["demo"])
    with contextlib.chdir(tmp_path), place.without_downloads(), serving(monkeypatch, tmp_path):
        for words in lines:
            code, out, err = bpkd(*tried(words, tmp_path))
            assert code == 0, f"{name}: bpkd {' '.join(words)}: {err}"
            assert out or "--quiet" in tried(words, tmp_path), words
