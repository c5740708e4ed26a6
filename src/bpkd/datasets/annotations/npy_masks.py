"""Masks as NumPy arrays: whole numbers (H, W), or a layer of 0 and 1 a class."""

from __future__ import annotations

from collections.abc import Sequence

from bpkd.datasets.annotations.common import Annotations
from bpkd.datasets.annotations.format import Format
from bpkd.datasets.annotations.masks import kind, numbered
from bpkd.datasets.annotations.tree import Tree

FORMAT = Format(
    "npy-masks",
    "NumPy masks",
    __name__,
    recognised="pairs by name, .npy",
    cannot="names, as above; objects",
    instances=False,
    overlap=None,
    anybodys=True,
)


def recognised(tree: Tree) -> bool:
    """Whether images have such masks."""
    return kind(tree) == "arrays"


def read(tree: Tree, classes: Sequence[str] | None = None) -> Annotations:
    """All pairs; names of a file in the root, or the values."""
    return numbered(tree, classes)
