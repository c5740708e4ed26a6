"""Sizes of maps, compared so that a network that is exported is not tied to one of them."""

from __future__ import annotations

from collections.abc import Sequence

import torch


def same_size(first: Sequence[int], second: Sequence[int]) -> bool:
    """Whether two sizes are the same; while a network is exported: for images of every size.

    Python's own comparison would be answered for the image that the network is traced with, and
    the file would take no image for which the answer is another.

    Example:
        >>> same_size(torch.zeros(2, 3).shape, (2, 3)), same_size((2, 3), (3, 2))
        (True, False)
    """
    if not torch.compiler.is_exporting():
        return tuple(first) == tuple(second)
    from torch.fx.experimental.symbolic_shapes import (  # noqa: PLC0415  (slow, and for export alone)
        statically_known_true,
    )

    return all(statically_known_true(a == b) for a, b in zip(first, second, strict=True))
