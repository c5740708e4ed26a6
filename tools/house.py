"""The house as a picture: its rooms from the ground up, and which room uses which.

python -m tools.house           # the floors, and what is wrong with them
python -m tools.house --write   # the same picture into CONTRIBUTING.md
python -m tools.house --count [SRC]   # in numbers, of this tree or of another one's src/
"""

from __future__ import annotations

import ast
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1] / "src"
PAGE = ROOT.parent / "CONTRIBUTING.md"
HALL = {"__init__.py", "__main__.py", "errors.py"}
#: From the ground up. A room may use those before it, never those after it.
FLOORS = (
    "support",
    "boundary",
    "recipe",
    "datasets",
    "metrics",
    "networks",
    "losses",
    "tasks",
    "runs",
    "inference",
    "training",
    "export",
    "report",
    "starting",
    "cli",
)
LINES, FUNCTION = 300, 60


def modules(root: Path = ROOT) -> dict[str, Path]:
    """Every module of the package by its dotted name."""
    files = (root / "bpkd").rglob("*.py")
    names = {file: file.relative_to(root).with_suffix("").parts for file in files}
    return {".".join(parts).removesuffix(".__init__"): file for file, parts in names.items()}


def arrows(source: str, known: set[str]) -> Iterator[str]:
    """The modules of the package that a source names in an import, wherever it stands."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in known)
        elif isinstance(node, ast.ImportFrom) and node.module in known:
            inner = {f"{node.module}.{alias.name}" for alias in node.names} & known
            yield from inner or {node.module}


def imports(root: Path = ROOT) -> dict[str, set[str]]:
    """For each module, the modules of the package that it imports; the lazy names aside."""
    found = modules(root)
    return {
        name: {other for other in arrows(file.read_text("utf-8"), set(found)) if other != "bpkd"}
        for name, file in found.items()
        if name != "bpkd"  # its public names are arrows up, made when they are first asked for
    }


def room(module: str) -> str:
    """The folder that a module is in; the hall's modules are below everything.

    Example:
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


def uses(graph: dict[str, set[str]]) -> dict[str, set[str]]:
    """For each room, the rooms that it uses."""
    found: dict[str, set[str]] = defaultdict(set)
    for module, others in graph.items():
        for other in others:
            if room(module) and room(other) and room(module) != room(other):
                found[room(module)].add(room(other))
    return dict(found)


def reduced(graph: dict[str, set[str]]) -> dict[str, set[str]]:
    """Without the arrows that a longer way along others makes needless.

    Example:
        >>> reduced({"c": {"a", "b"}, "b": {"a"}})
        {'c': {'b'}, 'b': {'a'}}
    """

    def reach(name: str, seen: frozenset[str] = frozenset()) -> set[str]:
        nears = graph.get(name, set()) - seen  # in a ring, once round is enough
        return nears.union(*(reach(near, seen | nears) for near in nears))

    return {
        name: {near for near in nears if not any(near in reach(other) for other in nears)}
        for name, nears in graph.items()
    }


def floors(graph: dict[str, set[str]]) -> dict[str, int]:
    """The floor of each module, one above the highest that it imports; a ring has one floor.

    Example:
        >>> floors({"c": {"a", "b"}, "b": {"a"}, "a": set()}) == {"a": 1, "b": 2, "c": 3}
        True
    """
    found: dict[str, int] = {}

    def floor(module: str, above: tuple[str, ...] = ()) -> int:
        if module not in found:
            below = graph.get(module, set()) - {module, *above}
            found[module] = 1 + max((floor(each, (*above, module)) for each in below), default=0)
        return found[module]

    for module in graph:
        floor(module)
    return found


def counted(root: Path) -> str:
    """What lies loose in the hall, on how many floors, and the arrows that point up."""
    graph = imports(root)
    loose = {path.stem for path in (root / "bpkd").glob("*.py") if path.name not in HALL}
    high = {floors(graph)[f"bpkd.{name}"] for name in loose}
    ring = " -> ".join(cycle(graph)) or "none"
    return (
        f"{len(loose)} modules in the hall, on {len(high)} floors; "
        f"{len(upward(graph))} arrows up; ring: {ring}"
    )


def diagram() -> str:
    """The rooms and their arrows as a Mermaid flow chart, the needless ones left out."""
    arrows_down = reduced(uses(imports()))
    lines = [
        f"    {above} --> {below}"
        for above in reversed(FLOORS)
        for below in sorted(arrows_down.get(above, ()), key=FLOORS.index, reverse=True)
    ]
    return "\n".join(["```mermaid", "flowchart TD", *lines, "```"])


def redrawn(page: str) -> str:
    """A page with today's diagram in the place of the one that it has."""
    before, _, rest = page.partition("```mermaid")
    return before + diagram() + rest.partition("```")[2]


def main() -> None:
    """Print the floors, or write the diagram."""
    if "--write" in sys.argv:
        PAGE.write_text(redrawn(PAGE.read_text("utf-8")), encoding="utf-8")
        return
    if "--count" in sys.argv:
        place = sys.argv[sys.argv.index("--count") + 1 :]
        print(counted(Path(place[0]) if place else ROOT))
        return
    graph = imports()
    print(diagram())
    print(
        "\n".join([*upward(graph), " -> ".join(cycle(graph))]).strip() or "every arrow points down"
    )


if __name__ == "__main__":
    main()
