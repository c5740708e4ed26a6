"""What a class of this package says of itself, read from its file: importing it takes seconds."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

_ROOT = Path(__file__).parents[2]


def class_attribute(path: str, name: str) -> Any:
    """A constant that a class assigns in its body, or one that it extends; None where none does.

    Args:
        path: dotted, below ``bpkd``.
        name: of the attribute.

    Example:
        >>> class_attribute("bpkd.datasets.cityscapes_instances.CityscapesInstances", "task")
        'instance'
        >>> class_attribute("bpkd.datasets.folder.Folder", "nothing") is None
        True
    """
    module, _, wanted = path.rpartition(".")
    file = _ROOT.joinpath(*module.split(".")).with_suffix(".py")
    if not module.startswith("bpkd.") or not file.is_file():
        return None
    for node in ast.parse(file.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ClassDef) and node.name == wanted:
            for line in node.body:
                if isinstance(line, ast.AnnAssign) and ast.unparse(line.target) == name:
                    return line.value and ast.literal_eval(line.value)
            bases = [f"{module}.{ast.unparse(base)}" for base in node.bases]
            found = (class_attribute(base, name) for base in bases)
            return next((value for value in found if value is not None), None)
        if isinstance(node, ast.ImportFrom) and wanted in {alias.name for alias in node.names}:
            return class_attribute(f"{node.module}.{wanted}", name)
    return None
