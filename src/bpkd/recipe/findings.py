"""What a mistake in a recipe is called: one line with the key, what it got, what was expected."""

from __future__ import annotations

import re
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from bpkd.support.messages import shown, suggestion


def finding(error: ValidationError, content: Any, schema: type[BaseModel] | None = None) -> str:
    """The first of pydantic's findings.

    Where a key may be of several types, pydantic finds something against each of them: what it
    found deepest belongs to the type that was meant, and equally deep ones are alternatives.

    Args:
        error: pydantic's.
        content: what was validated.
        schema: the model it was validated by, for the keys that it knows.

    Example:
        >>> class Section(BaseModel):
        ...     size: int | None = None
        >>> try:
        ...     Section.model_validate({"size": "big"})
        ... except ValidationError as error:
        ...     finding(error, {"size": "big"})
        "size: expected a whole number, got 'big'"
    """
    found = [(_place(each["loc"], content, each["type"]), each) for each in error.errors()]
    first = found[0][0]
    family = [(place, each) for place, each in found if place[: len(first)] == first]
    place = max((place for place, _ in family), key=len)
    alike = [each for other, each in family if other == place]
    key, kind, value = ".".join(place), alike[0]["type"], alike[0]["input"]
    if kind == "extra_forbidden":
        known = _section(schema, place).model_fields if schema else ()
        return f"unknown key {key!r}; {suggestion(place[-1], known)}"
    if kind == "missing" and place[-1].isdigit():
        return f"{'.'.join(place[:-1])}: expected more values, got {shown(value)}"
    if kind == "missing":
        return f"{key} is missing"
    if kind == "value_error":  # what a schema's own check of several keys says
        return f"{key}: {_expected(alike[0]['msg'])}"
    expected = " or ".join(dict.fromkeys(_expected(each["msg"]) for each in alike))
    expected = expected.replace(" or expected", " or")
    return f"{key}: {expected}, got {shown(value)}" if key else f"{expected}, got {shown(value)}"


def _place(location: tuple[Any, ...], content: Any, kind: str) -> tuple[str, ...]:
    """The keys on the way to a finding, without the names of types that pydantic puts between."""
    place = []
    for index, part in enumerate(location):
        last = index == len(location) - 1
        if isinstance(content, list | tuple):
            content = dict(enumerate(content))
        known = isinstance(content, dict) and part in content
        if known or (last and kind == "missing"):
            place.append(str(part))
        if known:
            content = content[part]
    return tuple(place)


def _section(schema: type[BaseModel], place: tuple[str, ...]) -> type[BaseModel]:
    """The model that a key stands in; on the way, names in a dictionary have no field."""
    for part in place[:-1]:
        if part in schema.model_fields:
            schema = _model_in(schema.model_fields[part].annotation) or schema
    return schema


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next(filter(None, map(_model_in, get_args(annotation))), None)


def _expected(message: str) -> str:
    """Pydantic's English in a recipe writer's words."""
    message = re.sub(r", (unable|got) .*| or instance of .*|, not \d+$", "", message)
    for theirs, ours in (
        ("Value error, ", ""),
        ("Input should be", "expected"),
        ("Tuple should have", "expected"),
        ("List should have", "expected"),
        (" after validation", ""),
        ("greater than or equal to", "at least"),
        ("less than or equal to", "at most"),
        ("expected greater than", "expected a number above"),
        ("expected less than", "expected a number below"),
        ("a valid dictionary", "keys and values"),
        ("a valid integer", "a whole number"),
        ("a valid tuple", "a list"),
        ("a valid string", "text"),
        ("a valid", "a"),
    ):
        message = message.replace(theirs, ours)
    return message
