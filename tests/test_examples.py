"""Each program in ``examples/`` runs, and its student hears its teacher."""

from __future__ import annotations

import importlib
import math
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parent.parent / "examples"
NAMES = sorted(path.stem for path in EXAMPLES.glob("*.py") if path.stem != "__init__")


def test_the_page_names_each() -> None:
    page = (EXAMPLES.parent / "docs/own_loop.md").read_text("utf-8")
    assert NAMES and all(f"(../examples/{name}.py)" in page for name in NAMES)


def test_a_plain_loop() -> None:
    values = importlib.import_module("examples.plain_loop").main(steps=20)
    assert len(values) == 20
    assert values[-1] < 0.9 * values[0]


def test_a_lightning_module() -> None:
    terms = importlib.import_module("examples.lightning_module").main(steps=2)
    assert {"cwd.cwd", "at.at"} <= set(terms)
    assert all(math.isfinite(value) and value > 0 for value in terms.values())


def test_hugging_faces_trainer() -> None:
    pytest.importorskip("transformers")
    pytest.importorskip("accelerate")
    values = importlib.import_module("examples.hugging_face_trainer").main(steps=2)
    assert len(values) == 2 and all(math.isfinite(value) and value > 0 for value in values)


def test_segmentation_models_pytorch() -> None:
    pytest.importorskip("segmentation_models_pytorch")
    terms = importlib.import_module("examples.smp_models").main(steps=2)
    assert set(terms) == {"bpkd.edge", "bpkd.body", "dist.inter", "dist.intra", "kd.kd"}
    assert all(math.isfinite(v) for values in terms.values() for v in values)
