"""The way of a recipe through ``train``: which modules it is handed to, in the order of a run.

python -m tools.way            # a line a stop, and how often the way leads back
python -m tools.way --count    # the last line alone
PYTHONPATH=OTHER/src python -m tools.way   # of another tree

A tiny student is taught by a tiny run for two iterations, in a folder that goes again, and each
call that is given the recipe or a section of it is noted: the stops are the modules that it
reaches, a return is a stop in a module that it had left. The recipe's own room is no stop.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from inspect import CO_GENERATOR
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

from pydantic import BaseModel

#: Where a recipe is at home; the last two were modules of their own before there were rooms.
OWN = ("recipe", "sections", "components")
TEACHER = """
max_iters: 1
batch_size: 2
workers: 0
data: {use: bpkd.datasets.scenes.Scenes, size: [32, 48], count: 4}
augment: {crop: [32, 32]}
student:
  use: bpkd.networks.pspnet.PSPNet
  backbone: test_efficientnet.r160_in1k
  output_stride: 16
  channels: 8
"""
STUDENT = """
base: teacher.yaml
max_iters: 2
teacher: teacher
losses: {bpkd: {use: bpkd.losses.bpkd.BPKD}}
evaluation: {every: 1}
"""


def stops(calls: Callable[[], Any]) -> list[str]:
    """The modules that a recipe is handed to while something is called, one after the other."""
    found: list[str] = []
    begun: list[FrameType] = []

    def note(frame: FrameType, event: str, argument: Any) -> None:
        if event == "call" and _is_handed(frame) and not any(frame is each for each in begun):
            if frame.f_code.co_flags & CO_GENERATOR:
                begun.append(frame)  # to go on with it is to be handed nothing new
            name = frame.f_globals["__name__"]
            if found[-1:] != [name]:
                found.append(name)

    sys.setprofile(note)
    try:
        calls()
    finally:
        sys.setprofile(None)
    return found


def returns(way: list[str]) -> int:
    """Stops in a module that the way had left.

    Example:
        >>> returns(["run", "building", "losses", "building", "run", "losses"])
        3
    """
    return len(way) - len(set(way))


def _is_handed(frame: FrameType) -> bool:
    """Whether a function of the package is called with a recipe, or with a section of one."""
    name, code = str(frame.f_globals.get("__name__", "")), frame.f_code
    if not name.startswith("bpkd.") or name.split(".")[1] in OWN:
        return False
    return any(
        isinstance(value, BaseModel) and type(value).__module__.startswith("bpkd.")
        for value in map(frame.f_locals.get, _arguments(code))
    )


def _arguments(code: CodeType) -> tuple[str, ...]:
    return code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]


def main() -> None:
    """Train twice, and print the second run's way."""
    from bpkd import train  # noqa: PLC0415  (a tool that prints its help needs no torch)

    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        (home / "teacher.yaml").write_text(TEACHER, encoding="utf-8")
        (home / "student.yaml").write_text(
            STUDENT.replace("teacher: teacher\n", f"teacher: {home / 'teacher'}\n"), "utf-8"
        )
        train(home / "teacher.yaml", f"run={home / 'teacher'}", progress=False)
        run = f"run={home / 'student'}"
        way = stops(lambda: train(home / "student.yaml", run, progress=False))
    if "--count" not in sys.argv:
        print("\n".join(way))
    print(f"{len(way)} stops in {len(set(way))} modules, {returns(way)} returns")


if __name__ == "__main__":
    main()
