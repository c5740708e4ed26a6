"""What tests of several files begin with."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    """The file of a tiny recipe without a teacher."""
    from tests.runs import TINY  # torch takes seconds: not where tests are only handed out

    file = tmp_path / "tiny.yaml"
    file.write_text(TINY)
    return file
