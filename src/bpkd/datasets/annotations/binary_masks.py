"""Masks of two values, 0 and 255: background and one class of objects."""

from __future__ import annotations

from collections.abc import Sequence

from bpkd.datasets.annotations.common import Annotations
from bpkd.datasets.annotations.format import Format
from bpkd.datasets.annotations.masks import declared, kind, samples
from bpkd.datasets.annotations.tree import Tree
from bpkd.errors import UserError

FORMAT = Format(
    "binary-masks",
    "masks of 0 and 255",
    __name__,
    recognised="pairs by name, values 0 and 255 alone",
    cannot="more than two classes; objects",
    instances=False,
    overlap=None,
    anybodys=True,
)

_NAMES = ("background", "object")


def recognised(tree: Tree) -> bool:
    """Whether images have masks of 0 and 255 alone."""
    return kind(tree) == "binary"


def read(tree: Tree, classes: Sequence[str] | None = None) -> Annotations:
    """All pairs; the names of a file in the root, or background and object.

    Raises:
        UserError: that file names another number of classes than two.
    """
    found, remarks = samples(tree)
    if classes is not None:
        return Annotations(found, [], remarks=remarks)
    given = declared(tree)
    names = list(_NAMES) if given is None else given[0]
    if len(names) != 2:
        raise UserError(
            f"{tree.root}: masks of 0 and 255 have two classes, and {len(names)} are named"
        )
    colours = dict(zip(names, (given and given[1]) or (), strict=False))
    return Annotations(found, names, colours, {0: names[0], 255: names[1]}, remarks=remarks)
