"""What a dotted path would give, known before it is called."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from typing import Any, get_origin, get_type_hints

from bpkd.errors import UserError
from bpkd.recipe.trust import KNOWN, is_own


def kind_of(target: Callable[..., Any]) -> type | None:
    """The class of what a call gives: a class itself, or what a function is annotated to return.

    Example:
        >>> def f() -> dict[str, int]: ...
        >>> kind_of(int), kind_of(f), kind_of(lambda: 0)
        (<class 'int'>, <class 'dict'>, None)
    """
    if isinstance(target, type):
        return target
    try:
        said = get_type_hints(target).get("return")
    except Exception:  # annotations may be any expression, of names known to their file alone
        said = _by_name(target)
    said = get_origin(said) or said
    return said if isinstance(said, type) else None


def _by_name(target: Callable[..., Any]) -> Any:
    """The return annotation, where it names a class of its own module, and another does not."""
    said = getattr(target, "__annotations__", {}).get("return")
    module = inspect.getmodule(target)
    return getattr(module, said, None) if isinstance(said, str) else said


def require_kind(path: str, target: Callable[..., Any], wanted: type, what: str) -> None:
    """Refuse a target before it is called.

    Args:
        path: its dotted path, for the message.
        target: a class or function.
        wanted: the class that it is, or is annotated to give.
        what: how messages call that.

    Raises:
        UserError: it is another, or nobody says what it gives.
    """
    kind = kind_of(target)
    if kind is None and _is_own(path, target):
        return
    if kind is None:
        raise UserError(
            f"{path}: expected {what}, and nothing says what it gives; name a class, or annotate "
            f"the function: -> {wanted.__name__}"
        )
    if not issubclass(kind, wanted):
        given = "is another class" if kind is target else f"gives {kind.__name__}"
        raise UserError(f"{path} {given}, expected {what}")


def _is_own(path: str, target: Callable[..., Any]) -> bool:
    """Whether it is a function of the user's own modules, which need not say what it gives."""
    homes = {path.partition(".")[0], str(getattr(target, "__module__", "")).partition(".")[0]}
    return is_own() and not homes & (KNOWN | sys.stdlib_module_names | {""})


def require_data(path: str, target: Callable[..., Any]) -> None:
    """The same for a data set: it has a length, and items by number.

    Raises:
        UserError: it is none, or nobody says what it gives.
    """
    kind = kind_of(target)
    if kind is None and _is_own(path, target):
        return
    if kind is None:
        raise UserError(
            f"{path}: expected a data set, and nothing says what it gives; name a class, or "
            "annotate the function with the class that it returns"
        )
    if not all(hasattr(kind, name) for name in ("__len__", "__getitem__")) or kind in (
        str,
        bytes,
        bytearray,
        list,
        tuple,
        dict,
        range,
        memoryview,
    ):
        raise UserError(f"{path} is no data set: expected a class with __len__ and __getitem__")


def require_module(path: str, target: Callable[..., Any]) -> None:
    """The same for a network or a loss.

    Raises:
        UserError: it is none, or nobody says what it gives.
    """
    from torch import nn  # noqa: PLC0415  (takes seconds, and not every recipe is checked)

    require_kind(path, target, nn.Module, "a torch.nn.Module")


def require_optimizer(path: str, target: Callable[..., Any]) -> None:
    """The same for an optimizer.

    Raises:
        UserError: it is none, or nobody says what it gives.
    """
    from torch.optim import Optimizer  # noqa: PLC0415

    require_kind(path, target, Optimizer, "a torch.optim.Optimizer")
