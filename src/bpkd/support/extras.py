"""Libraries that bpkd does without, unless what they are for is asked for."""

from __future__ import annotations

import importlib
from typing import Any

from bpkd.errors import UserError


def extra(module: str, user: str, name: str) -> Any:
    """Import a module of a library that is an optional extra of this package.

    Args:
        module: dotted.
        user: what needs it, for the message.
        name: of the extra in pyproject.toml.

    Raises:
        UserError: it is not installed: says what to install.

    Example:
        >>> extra("json", "a doctest", "nothing").dumps([1])
        '[1]'
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        package = module.partition(".")[0].replace("_", "-")
        raise UserError(f"{user} needs {package}: pip install 'bpkd[{name}]'") from error
