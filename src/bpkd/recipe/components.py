"""A part of a recipe: a dotted path with its arguments, checked and built."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from inspect import getattr_static
from math import isnan
from types import GenericAlias
from typing import Any, get_type_hints

from pydantic import (
    BaseModel,
    ConfigDict,
    PydanticUserError,
    TypeAdapter,
    ValidationError,
)

from bpkd.errors import UserError
from bpkd.recipe.dotted import resolve
from bpkd.recipe.findings import finding
from bpkd.support.messages import raised, suggestion

_NUMBERS = (int, float, int | None, float | None, int | float)


def _has_nan(value: Any) -> bool:
    if isinstance(value, float):
        return isnan(value)
    parts = value.values() if isinstance(value, dict) else value
    return isinstance(value, dict | list | tuple) and any(map(_has_nan, parts))


class Component(BaseModel):
    """``use: a.dotted.path`` and the arguments of what stands there."""

    model_config = ConfigDict(extra="allow", allow_inf_nan=False)

    use: str

    def check_kind(self, target: Callable[..., Any]) -> None:
        """Refuse a target that gives another kind of thing, before it is called.

        Raises:
            UserError: it does, or nobody says what it gives.
        """

    @property
    def arguments(self) -> dict[str, Any]:
        """The keys beside ``use`` that the schema does not reserve."""
        return dict(self.model_extra or {})

    def accepts(self, name: str) -> bool:
        """Whether the target has an argument of that name."""
        return name in _parameters(resolve(self.use))

    def argument(self, name: str, default: Any) -> Any:
        """An argument as the target will get it; ``default`` where nobody says.

        Example:
            >>> Component(use="bpkd.losses.cwd.CWD").argument("temperature", 1.0)
            4.0
        """
        parameter = _parameters(resolve(self.use)).get(name)
        if parameter is not None and parameter.default is not parameter.empty:
            default = parameter.default
        return self.arguments.get(name, default)

    def check(self, where: str, given: Iterable[str] = ()) -> None:
        """Refuse arguments that the target does not have, and missing ones.

        Args:
            where: the component's place in the recipe, for the message.
            given: arguments that :meth:`build` will add.

        Raises:
            UserError: names the argument and the nearest known one.
        """
        try:
            target = resolve(self.use)
        except UserError as error:
            raise UserError(f"{where}.use: {error}") from error
        try:
            self.check_kind(target)
        except UserError as error:
            raise UserError(f"{where}: {error}") from error
        given, parameters = list(given), _parameters(target)
        own = (field.alias or name for name, field in type(self).model_fields.items())
        known = [*(name for name in parameters if name not in given), *own]
        open_ended = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
        for name, value in self.arguments.items():
            if _has_nan(value) and name != "lr":  # which has a line of its own
                raise UserError(f"{where}.{name}: expected a number, got {value}")
            if name in given:
                raise UserError(f"{where}.{name} is set by bpkd itself; take it out")
            if name not in parameters and not open_ended:
                raise UserError(
                    f"{where}.{name}: {self.use} has no such argument; {suggestion(name, known)}"
                )
        for name, parameter in parameters.items():
            needed = parameter.default is parameter.empty and parameter.kind in (
                parameter.POSITIONAL_OR_KEYWORD,
                parameter.KEYWORD_ONLY,
            )
            if needed and name not in self.arguments and name not in given:
                raise UserError(f"{where}.{name} is missing: {self.use} needs it")
        self._check_types(where, target)

    def _check_types(self, where: str, target: Callable[..., Any]) -> None:
        """Hold the arguments against the target's annotations, where it has any to be held to."""
        try:
            is_class = isinstance(target, type)
            hints = get_type_hints(getattr_static(target, "__init__") if is_class else target)
        except Exception:  # annotations may be any expression, of names known to their file alone
            return
        for name, value in self.arguments.items():
            if name not in hints or value is None:
                continue
            if isinstance(value, bool) and hints[name] in _NUMBERS:
                raise UserError(f"{where}.{name}: expected a number, got {value}")
            try:
                named: Any = GenericAlias(dict, (str, hints[name]))
                TypeAdapter(named).validate_python({name: value})
            except (PydanticUserError, TypeError):
                continue  # a type that YAML cannot hold, as a tensor: nothing to compare with
            except ValidationError as error:
                raise UserError(f"{where}.{finding(error, {name: value})}") from error

    def build(self, *args: Any, **given: Any) -> Any:
        """Call the target with the arguments here and those given.

        Raises:
            UserError: it is of another kind than expected.
        """
        target = resolve(self.use)
        self.check_kind(target)
        return target(*args, **{**self.arguments, **given})

    def built(self, where: str, *args: Any, **given: Any) -> Any:
        """As :meth:`build`; whatever goes wrong is said in one line.

        Args:
            where: the component's place in the recipe, for the message.
            args: for the target, as ``given``.

        Raises:
            UserError: the target refuses its arguments, or somebody's own class fails.
        """
        try:
            return self.build(*args, **given)
        except UserError as error:
            raise UserError(f"{where}: {error}") from error
        except Exception as error:  # whatever a class does when it is made
            raise UserError(f"{where}: {self.use} cannot be built: {raised(error)}") from error


def _parameters(target: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    try:
        return dict(inspect.signature(target).parameters)
    except (TypeError, ValueError):  # written in C without a signature: takes what it takes
        anything = inspect.Parameter("arguments", inspect.Parameter.VAR_KEYWORD)
        return {"arguments": anything}
