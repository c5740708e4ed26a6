"""From a dotted path to what stands there."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from typing import Any

from bpkd.errors import UserError
from bpkd.recipe.trust import require
from bpkd.support.messages import one_line, suggestion

#: What has moved since recipes named it.
_MOVED = {"bpkd.teachers.from_run": "bpkd.runs.loading.from_run"}


def resolve(path: str) -> Callable[..., Any]:
    """The class or function at a dotted path.

    Example:
        >>> resolve("bpkd.losses.cwd.CWD").__name__
        'CWD'

    Raises:
        UserError: no such module, no such name in it, or nobody has consented to its code.
    """
    path = _MOVED.get(path, path)
    module_name, _, name = path.rpartition(".")
    if not all(path.split(".")) or not module_name:
        raise UserError(f"{path!r} is no dotted path; expected e.g. bpkd.losses.cwd.CWD")
    require(path)
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        # A module that exists may itself fail to find another one: that is not the path's fault.
        near = _nearest_module(module_name) if error.name in _prefixes(module_name) else ""
        raise UserError(f"{path}: {one_line(error)}{near}") from error
    except Exception as error:  # whatever a user's own module does when it is read
        reason = f"{type(error).__name__}: {one_line(error)}"
        raise UserError(f"{path}: {module_name} cannot be imported: {reason}") from error
    if not hasattr(module, name):
        public = [w for w, value in vars(module).items() if w[0] != "_" and callable(value)]
        raise UserError(f"{path}: {module_name} has no {name!r}; {suggestion(name, public)}")
    target = getattr(module, name)
    if not callable(target):
        raise UserError(f"{path} is no class or function, so nothing can be built from it")
    built: Callable[..., Any] = target
    return built


def _prefixes(module: str) -> list[str]:
    """A module's name and those of the packages that it is in."""
    parts = module.split(".")
    return [".".join(parts[:end]) for end in range(1, len(parts) + 1)]


def _nearest_module(name: str) -> str:
    """The module that may have been meant, as the end of a message."""
    package, _, last = name.rpartition(".")
    if not package:
        return "; write the path of an installed module, or of a file beside you"
    try:
        paths = importlib.import_module(package).__path__
    except (ImportError, AttributeError):
        return ""
    return f"; {suggestion(last, (module.name for module in pkgutil.iter_modules(paths)))}"
