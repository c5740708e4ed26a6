"""The house: rooms, and arrows between them that only point down."""

from __future__ import annotations

import ast
from collections import defaultdict

import pytest

from tools.house import (
    FLOORS,
    FUNCTION,
    HALL,
    LINES,
    PAGE,
    ROOT,
    arrows,
    cycle,
    imports,
    modules,
    redrawn,
    upward,
)


def test_the_hall_is_empty() -> None:
    loose = {path.name for path in (ROOT / "bpkd").glob("*.py")} - HALL
    assert not loose, f"{sorted(loose)} lie in the hall; each belongs into one of {FLOORS}"
    rooms = {path.parent.name for path in (ROOT / "bpkd").glob("*/__init__.py")}
    assert rooms <= set(FLOORS), f"rooms that no floor is known of: {sorted(rooms - set(FLOORS))}"


def test_arrows_point_down() -> None:
    assert not upward(imports()), "\n".join(upward(imports()))


def test_no_ring() -> None:
    ring = cycle(imports())
    assert not ring, f"a ring of imports: {' -> '.join(ring)}; move what they share into one"


def test_small_files_and_functions() -> None:
    large = []
    for name, file in modules().items():
        source = file.read_text("utf-8")
        if (count := source.count("\n")) > LINES:
            large.append(f"{name} has {count} lines; split it by subject, at most {LINES}")
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.FunctionDef) and node.body:
                # A docstring is no work to follow.
                body = node.body[1:] if ast.get_docstring(node) else node.body
                length = (node.end_lineno or 0) - body[0].lineno + 1 if body else 0
                if length > FUNCTION:
                    large.append(f"{name}.{node.name} has {length} lines; at most {FUNCTION}")
    assert not large, "\n".join(large)


def test_a_broken_wall_is_told() -> None:
    graph = defaultdict(set, {"bpkd.losses.cwd": {"bpkd.training.run"}})
    (line,) = upward(graph)
    assert line.startswith("bpkd.losses.cwd imports bpkd.training.run: training is above losses")
    assert cycle({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == ["b", "c", "b"]
    assert cycle({"a": {"b", "c"}, "b": {"c"}, "c": set()}) == []


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("from bpkd.losses.cwd import cwd", {"bpkd.losses.cwd"}),
        ("from bpkd.losses import cwd", {"bpkd.losses.cwd"}),
        ("def f():\n    import bpkd.losses.cwd", {"bpkd.losses.cwd"}),
        ("import torch", set()),
    ],
)
def test_imports_are_found_wherever_they_stand(source: str, found: set[str]) -> None:
    assert set(arrows(source, {"bpkd.losses", "bpkd.losses.cwd"})) == found


def test_the_picture_of_the_house_is_todays() -> None:
    page = PAGE.read_text("utf-8")
    assert redrawn(page) == page, "the rooms use each other in another way: make house"
