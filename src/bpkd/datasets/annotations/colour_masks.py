"""Masks in RGB: each class has a colour."""

from __future__ import annotations

from collections.abc import Sequence

from bpkd.datasets.annotations.common import Annotations, Sample
from bpkd.datasets.annotations.format import Format
from bpkd.datasets.annotations.masks import code, colour_of, declared, kind, samples, values_in
from bpkd.datasets.annotations.tree import Tree
from bpkd.errors import UserError

FORMAT = Format(
    "colour-masks",
    "masks in RGB",
    __name__,
    recognised="pairs by name, masks in RGB",
    cannot="names, unless a file in the root has them; objects",
    instances=False,
    overlap=None,
    anybodys=True,
)

_MOST = 256


def recognised(tree: Tree) -> bool:
    """Whether images have masks in RGB."""
    return kind(tree) == "colours"


def read(tree: Tree, classes: Sequence[str] | None = None) -> Annotations:
    """All pairs; colours as a file in the root names them, or called by their hexadecimal code."""
    found, remarks = samples(tree)
    if classes is not None:
        return Annotations(found, [], by_colour=True, remarks=remarks)
    given = declared(tree)
    if given is not None and given[1] is not None:
        names = dict(zip(given[0], given[1], strict=True))
        values = {code(colour): name for name, colour in names.items()}
        if len(values) < len(names):
            raise UserError(f"{tree.root}: two classes share a colour, so masks are ambiguous")
        return Annotations(found, given[0], names, values, by_colour=True, remarks=remarks)
    return coloured(found, remarks)


def coloured(found: Sequence[Sample], remarks: Sequence[str]) -> Annotations:
    """Annotations whose classes are called by their colours.

    Raises:
        UserError: there are so many colours that masks must be blurred or photos.
    """
    occurring = values_in(found)
    if len(occurring) > _MOST:
        raise UserError(
            f"masks hold {len(occurring)} colours: they were blurred by resizing or saving, or "
            "are no masks; export them anew as PNG, without smoothing"
        )
    values = {value: f"#{value:06x}" for value in occurring}
    colours = {name: colour_of(value) for value, name in values.items()}
    remarks = [*remarks, "no file names the colours: they are called by their codes; rename them"]
    return Annotations(found, list(colours), colours, values, by_colour=True, remarks=remarks)
