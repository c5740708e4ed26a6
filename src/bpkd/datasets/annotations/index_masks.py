"""Masks of numbers: a value is a class, in 8 or 16 bits or a palette's index."""

from __future__ import annotations

from collections.abc import Sequence

from bpkd.datasets.annotations.common import Annotations
from bpkd.datasets.annotations.format import Format
from bpkd.datasets.annotations.masks import kind, numbered
from bpkd.datasets.annotations.tree import Tree

FORMAT = Format(
    "index-masks",
    "masks of class numbers",
    __name__,
    recognised="pairs by name, values 0, 1, 2, ...",
    cannot="names, unless a file in the root has them; objects",
    instances=False,
    overlap=None,
    anybodys=True,
)


def recognised(tree: Tree) -> bool:
    """Whether images have such masks."""
    return kind(tree) == "index"


def read(tree: Tree, classes: Sequence[str] | None = None) -> Annotations:
    """All pairs; names of a file in the root, or the values."""
    return numbered(tree, classes)
