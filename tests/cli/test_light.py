"""Commands that only look something up import nothing heavy."""

from __future__ import annotations

import subprocess
import sys

import pytest

PROGRAM = """
import sys
from bpkd.cli import main
try:
    main()
except SystemExit as ended:
    assert not ended.code, ended.code
print(*sorted({"torch", "lightning", "torchmetrics"} & set(sys.modules)), file=sys.stderr)
"""
LIGHT = ["methods", "methods cwd", "recipes table2", "recipe camvid/bpkd", "table 2", "--help"]


@pytest.mark.parametrize("command", LIGHT)
def test_light(command: str) -> None:
    assert heavy(command) == []


def test_model_without_the_loop_and_the_measures() -> None:
    assert heavy("model pspnet_r18 --no-timing") == ["torch"]


def heavy(command: str) -> list[str]:
    """What of the heavy libraries a command imports."""
    run = [sys.executable, "-c", PROGRAM, *command.split()]
    return subprocess.run(run, capture_output=True, text=True, check=True).stderr.split()
