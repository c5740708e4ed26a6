"""Masks that are partly transparent, in RGBA or with a palette: nothing is painted there."""

from __future__ import annotations

from collections.abc import Sequence

from bpkd.datasets.annotations.colour_masks import coloured
from bpkd.datasets.annotations.common import Annotations
from bpkd.datasets.annotations.format import Format
from bpkd.datasets.annotations.masks import code, declared, is_coloured, kind, numbered, samples
from bpkd.datasets.annotations.pairing import paired
from bpkd.datasets.annotations.tree import Tree

FORMAT = Format(
    "transparent-masks",
    "masks with transparency",
    __name__,
    recognised="pairs by name, masks in RGBA or with a palette, partly transparent",
    cannot="names, as above; objects",
    instances=False,
    overlap=None,
    uncovered=True,
    anybodys=True,
)


def recognised(tree: Tree) -> bool:
    """Whether images have masks with transparent pixels."""
    return kind(tree) == "transparent"


def read(tree: Tree, classes: Sequence[str] | None = None) -> Annotations:
    """All pairs. What is transparent is what nothing covers: the background.

    RGBA is named by colours, a palette or grey by numbers.
    """
    found, remarks = samples(tree)
    if classes is not None:
        return Annotations(found, [], by_colour=_in_colours(tree), remarks=remarks)
    if not _in_colours(tree):
        return numbered(tree, None)
    given = declared(tree)
    if given is None or given[1] is None:
        return coloured(found, remarks)
    colours = dict(zip(given[0], given[1], strict=True))
    values = {code(colour): name for name, colour in colours.items()}
    return Annotations(found, given[0], colours, values, by_colour=True, remarks=remarks)


def _in_colours(tree: Tree) -> bool:
    return is_coloured(paired(tree).pairs[0][1])
