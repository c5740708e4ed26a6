"""Two processes on the CPU: the same run, and the same metrics as one."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
from pathlib import Path

import pytest

from bpkd import evaluate
from bpkd.metrics.measures import scalars
from tests.test_training import TINY

# Lightning starts the second process with the command of the first, so it has to be a file.
PROGRAM = "from bpkd.cli import main\n\nif __name__ == '__main__':\n    main()\n"


def bpkd(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    (folder / "program.py").write_text(PROGRAM)
    return subprocess.run(
        [sys.executable, "program.py", *arguments],
        cwd=folder,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_two_processes_give_the_metrics_of_one(tmp_path: Path) -> None:
    (tmp_path / "tiny.yaml").write_text(TINY)
    options = ["devices=2", "max_iters=2", "data.count=3", "--quiet"]
    ended = bpkd(tmp_path, "train", "tiny.yaml", *options)
    assert ended.returncode == 0, ended.stderr
    run = tmp_path / "runs/tiny"
    with (run / "metrics.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["iteration"] for row in rows] == ["2"]
    # Of three images, one process had two and the other one.
    whole = scalars(evaluate(run, "devices=1", split="val"))
    for name in whole.keys() - {"parameters", "milliseconds"}:
        assert float(rows[0][name]) == pytest.approx(whole[name], abs=1e-6), name
