"""An annotation format, as its module declares it."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import Any

from bpkd.datasets.annotations.common import Annotations
from bpkd.datasets.annotations.drawing import Overlap
from bpkd.datasets.annotations.tree import Tree
from bpkd.errors import UserError


@dataclass(frozen=True)
class Format:
    """An annotation format: a module declares it as ``FORMAT``.

    Attributes:
        name: what recipes and the command line call it.
        title: the tool, and what it calls the format.
        use: the dotted path of its module, which has ``recognised(tree)`` and
            ``read(tree, classes)``.
        recognised: by what a folder is taken for it.
        cannot: what it cannot hold, or what is passed over.
        instances: whether it tells objects of one class apart.
        overlap: what lies over what; None where nothing can overlap.
        uncovered: whether pixels may be covered by nothing; as a rule where objects may overlap.
        anybodys: masks in anybody's layout, asked only where no tool's own format is found.
        extra: what of pyproject.toml's extras it needs, and for what.
    """

    name: str
    title: str
    use: str
    recognised: str
    cannot: str
    instances: bool = True
    overlap: Overlap | None = "later"
    uncovered: bool | None = None
    anybodys: bool = False
    extra: str = ""

    def leaves_uncovered(self) -> bool:
        """Whether pixels may be covered by nothing."""
        return self.overlap is not None if self.uncovered is None else self.uncovered

    def holds(self, tree: Tree) -> bool:
        """Whether a folder is in this format."""
        return bool(self._module().recognised(tree))

    def read(self, tree: Tree, classes: list[str] | None = None) -> Annotations:
        """What a folder holds; with ``classes`` given, nothing is opened only to find their names.

        Raises:
            UserError: something in it is not as the tool writes it.
        """
        found: Annotations = self._module().read(tree, classes)
        if not found.samples:
            raise UserError(f"{tree.root} holds no image with annotations of {self.title}")
        return found

    def _module(self) -> Any:
        return import_module(self.use)
