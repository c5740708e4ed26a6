"""The names that runs write in a folder, and no others: what may be replaced and taken away."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import yaml

from bpkd.runs import lock
from bpkd.runs.environment import NAME as ENVIRONMENT
from bpkd.runs.environment import read_notes

#: What a run begins with, in the order of writing: with recipe.yaml, it is one.
BEGUN = (
    ENVIRONMENT,
    "classes.csv",
    "student.yaml",
    "data.json",
    "class_weights.csv",
    "recipe.yaml",
)
#: What training makes.
GROWN = ("training.csv", "metrics.csv", "last.ckpt", "best.ckpt", "student.safetensors")
#: What loggers write by themselves.
LOGS = ("tensorboard", "csv", "wandb", "mlruns", "mlflow.db")
#: A run that is to replace the one in the folder; the same, complete; the same, moving in.
NEW, READY, MOVING = ".bpkd.new", ".bpkd.ready", ".bpkd.moving"

_PART = re.compile(r"\.(?P<name>.+)\.\d+\.part")


def is_run(folder: Path) -> bool:
    """Whether a run of bpkd lies in a folder; a recipe alone, as a project has one, is none."""
    if not (folder / "recipe.yaml").is_file():
        return False
    if any((folder / name).is_file() for name in ("last.ckpt", "student.safetensors")):
        return True
    return _is_noted(folder)


def strangers(folder: Path) -> list[str]:
    """The names in a folder, in which there is no run, that bpkd did not write."""
    own = {lock.NAME, NEW, READY, MOVING, ".DS_Store"}
    if _is_noted(folder):  # the first that a run writes: what else it begins with is its own
        own |= {*BEGUN, *LOGS}
    names = (path.name for path in folder.iterdir())
    return sorted(name for name in names if name not in own and not _is_part(name))


def is_trained(folder: Path) -> bool:
    """Whether a run's folder holds anything that was trained, or only what it began with."""
    if any((folder / name).is_file() for name in ("last.ckpt", "student.safetensors")):
        return True
    with suppress(OSError):
        return len((folder / "training.csv").read_bytes().splitlines()) > 1
    return False


def remove_own(folder: Path, before: float = float("inf")) -> None:
    """Take away what a run wrote in a folder, by name; all else stays, the folder too.

    Args:
        folder: of the run.
        before: TensorBoard's files that were written since this time stay.
    """
    for file in (*_own_files(folder), *_events(folder, before), folder / ENVIRONMENT):
        file.unlink(missing_ok=True)
    with suppress(OSError):
        (folder / "tensorboard").rmdir()


def remove_leftovers(folder: Path) -> None:
    """Take away the temporary files of processes that are gone; the folder's lock is held."""
    for place in (folder, folder / NEW):
        if place.is_dir():
            for file in [path for path in place.iterdir() if _is_part(path.name)]:
                file.unlink(missing_ok=True)


def _own_files(folder: Path) -> Iterator[Path]:
    """A run's files but the notes, by which the folder can be told to be bpkd's, to the last."""
    yield from _prepared(folder)
    for name in (*reversed(BEGUN[1:]), *GROWN):
        yield folder / name
    for file in folder.glob("evaluation_*.json"):
        with suppress(OSError, ValueError, RecursionError):
            if json.loads(file.read_text(encoding="utf-8")).keys() >= {"fingerprint", "scores"}:
                yield file.with_suffix(".npz")
                yield file


def _prepared(folder: Path) -> list[Path]:
    """What losses learnt on the teacher beforehand: files that bear their names."""
    try:
        losses = (
            yaml.safe_load((folder / "recipe.yaml").read_text(encoding="utf-8"))["losses"] or {}
        )
        return [folder / f"{name}.safetensors" for name in losses if "/" not in str(name)]
    except (OSError, ValueError, KeyError, TypeError, RecursionError, yaml.YAMLError):
        return []


def _events(folder: Path, before: float) -> Iterator[Path]:
    """TensorBoard's files of a run."""
    own = folder / "tensorboard"
    for file in (*own.glob("events.out.tfevents.*"), own / "hparams.yaml"):
        if file.is_file() and file.stat().st_mtime < before:
            yield file


def _is_noted(folder: Path) -> bool:
    """Whether environment.json is a run's, perhaps a damaged one."""
    if not (folder / ENVIRONMENT).is_file():
        return False
    notes = read_notes(folder)
    return notes is None or "bpkd" in notes


def _is_part(name: str) -> bool:
    """Whether it is the name of a temporary file of a run's file."""
    found = _PART.fullmatch(name)
    if found is None:
        return False
    return found["name"] in (*BEGUN, *GROWN) or found["name"].startswith("evaluation_")
