"""Whose code may run: a recipe, and the folder of a run, names classes, so it is a program.

Three places, three answers. A recipe that its user trains is the user's own: what it names is
imported, from beside the command too. A run, or a teacher, that is only loaded may come from
anybody: it names modules of the known libraries, or those that this process has imported already,
and others with consent (``--trust``). A recipe that is only looked at is data: nothing outside the
known libraries is imported, with or without consent.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from importlib.util import find_spec
from pathlib import Path

from bpkd.errors import UserError

#: Libraries whose classes anybody's recipe may name.
KNOWN = frozenset(
    ("bpkd", "timm", "torch", "torchvision", "transformers", "segmentation_models_pytorch")
)
#: Of these, what runs a program out of a file.
_PROGRAMS = frozenset(
    (
        "bpkd.networks.foreign.from_file",
        "bpkd.networks.foreign.files.from_file",
        "torch.jit.load",
        "torch.export.load",
        "torch.hub.load",
        "torch.load",
    )
)

#: 0: known libraries alone; 1: one's own recipe, but no run that it names; 2: all.
_level: ContextVar[int] = ContextVar("trusted", default=0)


@contextmanager
def trusted(consent: bool = True, beside: bool = False) -> Iterator[None]:
    """Inside, recipes and runs may name modules of any origin, where there is consent.

    Args:
        consent: False: as outside of all such blocks.
        beside: modules in the folder where the command is given are found, too.

    Example:
        >>> with trusted():
        ...     allowed("my_package.Net")
        True
        >>> allowed("my_package.Net")
        False
    """
    if consent and beside:
        _find_beside()
    with _at(2 if consent else _level.get()):
        yield


@contextmanager
def own_recipe(beside: bool = False) -> Iterator[None]:
    """Inside, a recipe is its user's own; the runs that it names need not be.

    Args:
        beside: modules in the folder where the command is given are found, too.
    """
    if beside:
        _find_beside()
    with _at(max(_level.get(), 1)):
        yield


@contextmanager
def somebodys_run() -> Iterator[None]:
    """Inside, a run is loaded that may be anybody's: consent to all is needed, or none counts."""
    with _at(2 if _level.get() == 2 else 0):
        yield


@contextmanager
def _at(level: int) -> Iterator[None]:
    token = _level.set(level)
    try:
        yield
    finally:
        _level.reset(token)


def _find_beside() -> None:
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.append(here)


def is_own() -> bool:
    """Whether the code that is named is the user's own, or consented to."""
    return _level.get() > 0


def allowed(path: str) -> bool:
    """Whether a dotted path may be imported and called.

    Example:
        >>> allowed("torch.nn.Conv2d"), allowed("mine.Net"), allowed("torch.hub.load")
        (True, False, False)
    """
    if is_own():
        return True
    if path in _PROGRAMS:
        return False
    module = path.rpartition(".")[0]
    return path.partition(".")[0] in KNOWN or (bool(module) and module in sys.modules)


def require(path: str) -> None:
    """Refuse a dotted path that nobody has consented to.

    Raises:
        UserError: says what would run, and how to consent.
    """
    if not allowed(path) and (path in _PROGRAMS or _exists(path)):
        what = "runs a program" if path in _PROGRAMS else "is code from outside the known libraries"
        raise UserError(
            f"{path} {what}, and a run or recipe that names it is a program; if you know whose it "
            "is, consent: --trust (from Python: with bpkd.trusted():)"
        )


def _exists(path: str) -> bool:
    """Whether there is anything to refuse: a package of that name, which is found, not imported."""
    try:
        return find_spec(path.partition(".")[0]) is not None
    except (ImportError, ValueError):
        return True
