"""Losses as their files describe them: read, not imported, for that would import torch."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

LOSSES = Path(__file__).parents[1] / "losses"
#: Stands for the default of an argument that has none.
NEEDED = "(needed)"


@dataclass(frozen=True)
class Described:
    """A loss.

    Attributes:
        name: of its class.
        module: dotted.
        file_doc: the docstring of its file.
        doc: its own docstring, without indentation.
        weights: the default weight of each of its terms.
        arguments: the default of each argument, or :data:`NEEDED`.
    """

    name: str
    module: str
    file_doc: str
    doc: str
    weights: dict[str, float]
    arguments: dict[str, Any]

    @property
    def use(self) -> str:
        """Its dotted path."""
        return f"{self.module}.{self.name}"


def losses() -> list[Described]:
    """Every loss of the package: the classes in bpkd.losses that have default weights."""
    found = [loss for file in LOSSES.rglob("*.py") for loss in _in_file(file)]
    return sorted(found, key=lambda loss: loss.name.lower())


def _in_file(file: Path) -> Iterator[Described]:
    tree = ast.parse(file.read_text(encoding="utf-8"))
    module = ".".join(("bpkd", *file.relative_to(LOSSES.parent).with_suffix("").parts))
    for node in tree.body:
        if isinstance(node, ast.ClassDef) and (weights := _assigned(node, "weights")):
            yield Described(
                node.name,
                module,
                ast.get_docstring(tree) or "",
                ast.get_docstring(node) or "",
                ast.literal_eval(weights),
                _arguments(node, tree),
            )


def _assigned(node: ast.ClassDef, name: str) -> ast.Dict | None:
    """The dictionary that a class gives to one of its own names."""
    for line in node.body:
        if isinstance(line, ast.AnnAssign) and ast.unparse(line.target) == name:
            return line.value if isinstance(line.value, ast.Dict) else None
    return None


def _arguments(node: ast.ClassDef, tree: ast.Module) -> dict[str, Any]:
    """Names and defaults of what makes the class, which may be the class's that it extends."""
    functions = (line for line in node.body if isinstance(line, ast.FunctionDef))
    made = next((each for each in functions if each.name == "__init__"), None)
    if made is None:
        base = next((ast.unparse(each) for each in node.bases), "")
        return _of_base(base, tree)
    spec = made.args
    names = [each.arg for each in spec.args[1:]]
    defaults = [None] * (len(names) - len(spec.defaults)) + list(spec.defaults)
    keywords = zip((each.arg for each in spec.kwonlyargs), spec.kw_defaults, strict=True)
    return {
        name: NEEDED if default is None else ast.literal_eval(default)
        for name, default in [*zip(names, defaults, strict=True), *keywords]
    }


def _of_base(base: str, tree: ast.Module) -> dict[str, Any]:
    """The arguments of a class of the same file, or of another file of the losses."""
    for line in tree.body:
        if isinstance(line, ast.ClassDef) and line.name == base:
            return _arguments(line, tree)
        if isinstance(line, ast.ImportFrom) and base in {alias.name for alias in line.names}:
            file = LOSSES.parents[1].joinpath(*(line.module or "").split(".")).with_suffix(".py")
            known = file.is_file()
            return _of_base(base, ast.parse(file.read_text(encoding="utf-8"))) if known else {}
    return {}
