"""Each block of Python on a page runs: those with prompts give what they say."""

from __future__ import annotations

import contextlib
import doctest
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
import torch

from bpkd.networks import pspnet_r101
from bpkd.networks.checkpoints import to_openmmlab
from tests.commands import done
from tests.docs import place
from tests.docs.blocks import PAGES, Block, fenced, short
from tests.hub import serving

PYTHON = [block for page in PAGES if page.suffix == ".md" for block in fenced(page)
          if block.language == "python"]  # fmt: skip
SESSIONS = sorted({block.page for block in PYTHON if block.text.startswith(">>>")})
PROGRAMS = [block for block in PYTHON if not block.text.startswith(">>>")]
#: Those that train networks of their own choice, export one, or need one of 68 million weights.
SLOW = ("distill(", "onnx", "pspnet_r101(")


def marked(block: Block) -> object:
    marks = [pytest.mark.slow] if any(word in block.text for word in SLOW) else []
    return pytest.param(block, id=str(block), marks=marks)


@pytest.fixture(scope="module")
def furnished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the programs of the pages find in the working folder."""
    folder = tmp_path_factory.mktemp("pages")
    place.furnish(folder)
    place.train(folder)
    return folder


@pytest.fixture
def hub(furnished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A hub of our own that holds the student, whatever a page calls it."""
    pytest.importorskip("huggingface_hub")
    with serving(monkeypatch, tmp_path):
        done("push", furnished / "runs/student", "me/roads-pspnet-r18", "--no-picture")
        yield


@pytest.mark.parametrize("page", SESSIONS, ids=short)
def test_a_session_gives_what_it_says(page: Path) -> None:
    """The blocks of a page in their order, as one session."""
    code = "\n".join(b.text for b in PYTHON if b.page == page and b.text.startswith(">>>"))
    session = doctest.DocTestParser().get_doctest(code, {}, page.name, str(page), 0)
    told: list[str] = []
    doctest.DocTestRunner().run(session, out=told.append)
    assert session.examples and not told, "".join(told)


def small(text: str) -> str:
    """A program of a page in a few iterations."""
    tiny = ", ".join(f'"{each}"' for each in (*place.TINY, *place.CROP))
    text = re.sub(r'"max_iters=\d+"', tiny, text)
    return re.sub(r"\bdistill\((?!.*progress)", "distill(*[], ", text)


def prepare(text: str, folder: Path) -> None:
    """What this program finds, or must not find yet."""
    if re.search(r"\btrain\(", text):
        shutil.rmtree(folder / "runs/student")
    if "student.onnx" in text:
        pytest.importorskip("onnxruntime")
        with contextlib.chdir(folder):
            done("export", "runs/student")
    if "pspnet_r101.pth" in text:
        state = to_openmmlab(pspnet_r101(19))
        torch.save({"state_dict": state}, folder / "pspnet_r101.pth")


@pytest.mark.parametrize("block", [marked(block) for block in PROGRAMS])
def test_a_program_runs(
    block: Block, furnished: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """In a module of its own, in a folder with photos, recipes and runs."""
    if block.not_run:
        compile(block.text, str(block), "exec")
        return
    if "from_pretrained" in block.text:
        request.getfixturevalue("hub")
    own = tmp_path / "own"
    shutil.copytree(furnished, own)
    prepare(block.text, own)
    module = ModuleType("page")
    module.images = torch.rand(1, 3, 32, 48)  # type: ignore[attr-defined]
    sys.modules["page"] = module
    try:
        with contextlib.chdir(own), place.without_downloads():
            exec(compile(small(block.text), str(block), "exec"), module.__dict__)
    finally:
        del sys.modules["page"]


def test_few_blocks_are_not_run() -> None:
    assert sum(bool(block.not_run) for block in PYTHON) <= 3
