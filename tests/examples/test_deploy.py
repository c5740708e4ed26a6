"""The deploy examples run a file, without bpkd and without PyTorch."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.network_files import COLOURS, description, write

DEPLOY = Path(__file__).parents[2] / "examples/deploy"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file whose classes are red, green and blue, with its YAML as the exporter writes it."""
    said = description(3)
    made = write(tmp_path / "student.onnx", said=said)
    rows = "".join(f"- {list(colour)}\n" for colour in COLOURS[:3])
    Path(f"{made}.yaml").write_text(f"classes: [a, b, c]\npalette:\n{rows}task: semantic\n")
    return made


def test_python(file: Path, tmp_path: Path) -> None:
    pixels = np.zeros((4, 8, 3), dtype=np.uint8)
    pixels[:, :2, 0] = pixels[:, 2:, 2] = 255
    Image.fromarray(pixels).save(tmp_path / "photo.png")
    script = (
        f"import sys; sys.path.insert(0, {str(DEPLOY)!r}); import json, segment\n"
        "print(json.dumps(segment.segment(*sys.argv[1:])))\n"
        "assert not {'torch', 'bpkd'} & set(sys.modules)"
    )
    overlay = tmp_path / "overlay.png"
    command = [sys.executable, "-c", script, str(file), str(tmp_path / "photo.png"), str(overlay)]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert json.loads(said) == {"a": 0.25, "b": 0.0, "c": 0.75}
    found = np.asarray(Image.open(overlay))
    assert found[0, 0].tolist() == [int(0.4 * 255), 0, int(0.6 * 255)]
    assert len((DEPLOY / "segment.py").read_text().splitlines()) < 45


def test_the_page_shares_its_functions_with_the_check() -> None:
    page = (DEPLOY / "index.html").read_text()
    module = (DEPLOY / "segment.mjs").read_text()
    for name in ("described", "segment", "toColours"):
        assert name in page and f"function {name}(" in module


@pytest.mark.slow
def test_javascript(file: Path, tmp_path: Path) -> None:
    if not (shutil.which("node") and shutil.which("npm")):
        pytest.skip("no Node here")
    for name in ("segment.mjs", "check.mjs"):
        shutil.copy(DEPLOY / name, tmp_path)
    install = ["npm", "install", "--no-audit", "--no-fund", "onnxruntime-web"]
    if subprocess.run(install, cwd=tmp_path, capture_output=True, check=False).returncode:
        pytest.skip("npm's registry does not answer")
    said = subprocess.run(
        ["node", "check.mjs", file.name], cwd=tmp_path, capture_output=True, text=True, check=True
    ).stdout
    found = json.loads(said.splitlines()[-1])
    # Grey: all three classes are level, and the first wins.
    assert found == {"shares": {"a": 1, "b": 0, "c": 0}, "size": [32, 48], "opaque": True}
