"""The house: rooms, and arrows between them that only point down."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1] / "src"
HALL = {"__init__.py", "__main__.py", "errors.py"}
#: From the ground up. A room may use those before it, never those after it.
FLOORS = (
    "support",
    "boundary",
    "recipe",
    "metrics",
    "datasets",
    "networks",
    "losses",
    "tasks",
    "runs",
    "inference",
    "training",
    "export",
    "report",
    "cli",
)
LINES, FUNCTION = 300, 60


def modules() -> dict[str, Path]:
    """Every module of the package by its dotted name."""
    files = (ROOT / "bpkd").rglob("*.py")
    names = {file: file.relative_to(ROOT).with_suffix("").parts for file in files}
    return {".".join(parts).removesuffix(".__init__"): file for file, parts in names.items()}


def arrows(source: str, known: set[str]) -> Iterator[str]:
    """The modules of the package that a source names in an import, wherever it stands."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in known)
        elif isinstance(node, ast.ImportFrom) and node.module in known:
            inner = {f"{node.module}.{alias.name}" for alias in node.names} & known
            yield from inner or {node.module}


def imports() -> dict[str, set[str]]:
    """For each module, the modules of the package that it imports; the lazy names aside."""
    found = modules()
    return {
        name: {other for other in arrows(file.read_text("utf-8"), set(found)) if other != "bpkd"}
        for name, file in found.items()
        if name != "bpkd"  # its public names are arrows up, made when they are first asked for
    }


def room(module: str) -> str:
    """The folder that a module is in; the hall's modules are below everything.

    >>> room("bpkd.losses.cwd"), room("bpkd.errors")
    ('losses', '')
    """
    parts = module.split(".")
    return parts[1] if len(parts) > 1 and parts[1] in FLOORS else ""


def upward(graph: dict[str, set[str]]) -> list[str]:
    """Arrows from a room to one above it."""
    floor = {name: number for number, name in enumerate(["", *FLOORS])}
    return [
        f"{module} imports {other}: {room(other)} is above {room(module)}; move what both need "
        f"down into one of {', '.join(FLOORS[: floor[room(module)]])}"
        for module, others in sorted(graph.items())
        for other in sorted(others)
        if floor[room(other)] > floor[room(module)] and module != "bpkd.__main__"
    ]


def cycle(graph: dict[str, set[str]]) -> list[str]:
    """Modules that import each other in a ring, or nothing."""
    done: set[str] = set()

    def visit(module: str, above: tuple[str, ...]) -> list[str]:
        if module in above:
            return [*above[above.index(module) :], module]
        if module not in done:
            for other in sorted(graph.get(module, ())):
                if ring := visit(other, (*above, module)):
                    return ring
            done.add(module)
        return []

    return next((ring for module in sorted(graph) if (ring := visit(module, ()))), [])


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
