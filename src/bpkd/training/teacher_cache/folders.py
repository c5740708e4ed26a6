"""The caches of a folder: listed, checked and taken away."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bpkd.errors import UserError
from bpkd.training.teacher_cache.records import ENDING, count

#: What decides a cache's records, for a person to read.
FACTS = "cache.json"
_held: list[int] = []  # open as long as this process, so that nobody takes its cache away


@dataclass
class Cache:
    """One set of records.

    Attributes:
        folder: where it is.
        about: what decides it; empty where its description cannot be read.
        tensors: records of each tensor.
        torn: records that are not whole, where they were looked at.
        size: bytes on the disk.
        unused: days since a run used it.
    """

    folder: Path
    about: dict[str, Any]
    tensors: dict[str, int]
    torn: int
    size: int
    unused: float


def used(folder: Path) -> None:
    """Note that a run uses a cache from now until its process ends."""
    file = os.open(folder / FACTS, os.O_RDONLY)
    fcntl.flock(file, fcntl.LOCK_SH)
    _held.append(file)
    try:
        os.utime(folder / FACTS)
    except OSError:
        return  # somebody else's, to be read alone


def in_use(folder: Path) -> bool:
    """Whether a run uses a cache."""
    try:
        file = os.open(folder / FACTS, os.O_RDONLY)
    except OSError:
        return False
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return False
    except BlockingIOError:
        return True
    finally:
        os.close(file)


def caches(
    place: Path, thorough: bool = False, progress: Callable[[Any], Iterable[Any]] = iter
) -> Iterator[Cache]:
    """The caches of a folder.

    Args:
        place: what ``teacher_cache`` names in a recipe.
        thorough: read every record, and compare its checksum.
        progress: wraps the list of files.

    Raises:
        UserError: there is no such folder, or no cache in it.
    """
    if not place.is_dir():
        raise UserError(f"{place}: no such folder; give what teacher_cache names in a recipe")
    folders = sorted(file.parent for file in place.glob(f"*/{FACTS}"))
    if not folders:
        raise UserError(f"{place}: no teacher cache is there (no */{FACTS})")
    for folder in folders:
        files = sorted(folder.glob(f"*{ENDING}"))
        found = {file: count(file, thorough) for file in progress(files)}
        yield Cache(
            folder,
            _about(folder),
            {file.name.removesuffix(ENDING): number.whole for file, number in found.items()},
            sum(number.torn for number in found.values()),
            sum(file.stat().st_blocks * 512 for file in folder.iterdir()),
            (time.time() - (folder / FACTS).stat().st_mtime) / 86400,
        )


def prune(place: Path, names: Iterable[str]) -> list[Path]:
    """Take caches away.

    Args:
        place: what ``teacher_cache`` names in a recipe.
        names: of their folders, or how these begin.

    Raises:
        UserError: no cache, or several, are called so; or a run uses it. Then none is taken away.
    """
    known = [file.parent for file in sorted(place.glob(f"*/{FACTS}"))]
    chosen = []
    for name in names:
        fitting = [folder for folder in known if name and folder.name.startswith(name)]
        if len(fitting) != 1:
            what = f"{len(fitting)} caches are" if fitting else "no cache is"
            raise UserError(f"{place}: {what} called {name}; bpkd cache {place} lists them")
        if in_use(fitting[0]):
            raise UserError(f"{fitting[0]}: a run uses it; stop that run first")
        chosen += fitting
    for folder in dict.fromkeys(chosen):
        shutil.rmtree(folder)
    return chosen


def size_of(count: float) -> str:
    """Bytes for a person.

    Example:
        >>> size_of(155_648), size_of(12), size_of(2.5e9)
        ('156 kB', '12 B', '2.5 GB')
    """
    for unit in ("B", "kB", "MB", "GB"):
        if count < 999.5:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} TB"


def _about(folder: Path) -> dict[str, Any]:
    try:
        found = json.loads((folder / FACTS).read_text(encoding="utf-8"))["of"]
        return found if isinstance(found, dict) else {}
    except (OSError, ValueError, KeyError, TypeError):
        return {}
