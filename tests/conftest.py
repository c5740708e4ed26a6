"""What tests of several files begin with."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest


def pytest_configure() -> None:
    """Signals that whoever started the tests ignores, as nohup does, count here all the same."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    for number in (signal.SIGTERM, getattr(signal, "SIGHUP", None)):
        if number is not None and signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    """The file of a tiny recipe without a teacher."""
    from tests.runs import TINY  # torch takes seconds: not where tests are only handed out

    file = tmp_path / "tiny.yaml"
    file.write_text(TINY)
    return file
