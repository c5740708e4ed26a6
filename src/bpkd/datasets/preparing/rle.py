"""Masks as run lengths, the way COCO's tools write them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from bpkd.errors import UserError


def decode(counts: str | Sequence[int], size: tuple[int, int]) -> npt.NDArray[np.bool_]:
    """Run lengths -> mask (H, W).

    Runs of 0 and of 1 take turns, down the columns, 0 first.

    Args:
        counts: the lengths, or COCO's text of them, see :func:`run_lengths`.
        size: (H, W).

    Raises:
        UserError: the runs do not fill the mask.

    >>> decode([1, 2, 1], (2, 2)).astype(int).tolist()
    [[0, 1], [1, 0]]
    """
    runs = run_lengths(counts) if isinstance(counts, str) else list(counts)
    if sum(runs) != size[0] * size[1] or min(runs, default=0) < 0:
        raise UserError(f"a mask of {sum(runs)} pixels for an image of {size[1]}x{size[0]}")
    values = np.arange(len(runs)) % 2 == 1
    return np.repeat(values, runs).reshape(size, order="F")


def run_lengths(text: str) -> list[int]:
    """The lengths that COCO's text stands for.

    A character holds, above 48, five bits of a number, the lowest first, and 32 where more follow;
    the highest bit of the last five is the sign. From the fourth number on, each is the difference
    from the number two before it.

    >>> run_lengths("121"), run_lengths("P1"), run_lengths("5562N")
    ([1, 2, 1], [32], [5, 5, 6, 7, 4])
    """
    runs: list[int] = []
    value = shift = 0
    for code in (ord(character) - 48 for character in text):
        value |= (code & 31) << shift
        shift += 5
        if code & 32:
            continue
        if code & 16:
            value -= 1 << shift
        runs.append(value + (runs[-2] if len(runs) > 2 else 0))
        value = shift = 0
    return runs
