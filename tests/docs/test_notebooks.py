"""The notebooks hold no outputs that grow old, and run from top to bottom."""

from __future__ import annotations

import ast
import json
from pathlib import Path

import pytest

from tests.docs.blocks import NOTEBOOKS, ROOT

every = pytest.mark.parametrize("file", NOTEBOOKS, ids=lambda file: file.stem)


def test_there_are_two() -> None:
    assert {file.stem for file in NOTEBOOKS} == {"own_images", "new_method"}


@every
def test_cells_are_programs_without_outputs(file: Path) -> None:
    cells = json.loads(file.read_text("utf-8"))["cells"]
    assert cells[0]["cell_type"] == "markdown"
    for cell in cells:
        if cell["cell_type"] == "code":
            assert ast.parse("".join(cell["source"])).body
            assert not cell["outputs"] and cell["execution_count"] is None


@pytest.mark.slow
@pytest.mark.timeout(900)
@every
def test_a_notebook_runs(file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nbformat, nbclient = pytest.importorskip("nbformat"), pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    monkeypatch.setenv("PYTHONPATH", str(ROOT / "src"))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    notebook = nbformat.read(file, as_version=4)
    resources = {"metadata": {"path": str(tmp_path)}}
    nbclient.NotebookClient(notebook, timeout=600, resources=resources).execute()
    results = [out for cell in notebook.cells for out in cell.get("outputs", [])]
    assert any(out["output_type"] == "execute_result" for out in results)
    assert not any(out["output_type"] == "error" for out in results)
