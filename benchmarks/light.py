"""Processor seconds of the commands that only look something up, and what heavy they import.

python -m benchmarks.light              # the median of 5 runs each, as whole processes
PYTHONPATH=OTHER/src python -m benchmarks.light   # of another tree
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys

COMMANDS = (
    "methods",
    "recipes",
    "recipe camvid/bpkd",
    "table 2",
    "model pspnet_r18 --no-timing",
)
HEAVY = ("torch", "lightning", "torchmetrics")
PROGRAM = f"""
import sys
from bpkd.cli import main
try:
    main()
except SystemExit as ended:
    assert not ended.code, ended.code
print(*(name for name in {HEAVY} if name in sys.modules), file=sys.stderr)
"""


def measured(command: str) -> tuple[float, list[str]]:
    """User and system seconds of a command's process, and which heavy libraries it imported."""
    run = [sys.executable, "-c", PROGRAM, *command.split()]
    before = os.times()
    done = subprocess.run(run, capture_output=True, text=True, check=True)
    after = os.times()
    spent = after.children_user + after.children_system
    spent -= before.children_user + before.children_system
    return spent, done.stderr.splitlines()[-1].split()


def main() -> None:
    """Print a row a command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=5)
    given = parser.parse_args()
    print("| command | processor seconds | imports |\n| --- | --- | --- |")
    for command in COMMANDS:
        runs = [measured(command) for _ in range(given.runs + 1)][1:]  # the first warms the disk
        seconds = statistics.median(spent for spent, _ in runs)
        print(f"| `bpkd {command}` | {seconds:.2f} | {', '.join(runs[0][1]) or '—'} |", flush=True)


if __name__ == "__main__":
    main()
