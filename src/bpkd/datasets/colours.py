"""Colours for classes: told apart by the eye, not by their numbers."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from itertools import combinations
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Colour: TypeAlias = tuple[int, int, int]
Array: TypeAlias = npt.NDArray[Any]

#: In CIE 1976 L*a*b*, where 2.3 is what an eye can just tell apart of two surfaces side by side.
NEAR = 5.0

_TO_XYZ = np.array(  # sRGB's primaries, IEC 61966-2-1, over its white point, D65
    [
        [0.4124564, 0.3575761, 0.1804375],
        [0.2126729, 0.7151522, 0.0721750],
        [0.0193339, 0.1191920, 0.9503041],
    ]
) / np.array([[0.95047], [1.0], [1.08883]])


def to_lab(colours: Sequence[Colour] | Array) -> Array:
    """Colours (N, 3) of sRGB from 0 to 255 -> L*a*b* (N, 3); L* is 0 to 100.

    >>> to_lab([(255, 0, 0), (0, 0, 255)]).round(1).tolist()
    [[53.2, 80.1, 67.2], [32.3, 79.2, -107.9]]
    """
    values = np.asarray(colours, dtype=np.float64) / 255
    linear = np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)
    ratios = linear @ _TO_XYZ.T
    root = np.where(ratios > 216 / 24389, np.cbrt(ratios), (24389 / 27 * ratios + 16) / 116)
    x, y, z = root[:, 0], root[:, 1], root[:, 2]
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=1)


def near_pairs(colours: Sequence[Colour], nearer: float = NEAR) -> list[tuple[int, int]]:
    """The pairs of colours that are hard to tell apart, the nearest first.

    >>> near_pairs([(0, 0, 0), (250, 0, 0), (251, 0, 1), (0, 0, 0)])
    [(0, 3), (1, 2)]
    """
    lab = to_lab(colours)
    apart = {
        (i, j): float(np.linalg.norm(lab[i] - lab[j])) for i, j in combinations(range(len(lab)), 2)
    }
    return sorted((pair for pair in apart if apart[pair] < nearer), key=apart.__getitem__)


def spaced_palette(count: int) -> list[Colour]:
    """Colours that are easy to tell apart, always the same for the same count.

    Each is the one that is farthest, in L*a*b*, from those before it, from black, which is
    what is ignored, and from white.

    >>> spaced_palette(3)
    [(0, 0, 255), (0, 255, 0), (255, 0, 0)]
    """
    return list(_spaced(max(256, count))[:count])


@cache
def _spaced(count: int) -> tuple[Colour, ...]:
    levels = np.arange(0, 256, 17 if count <= 1024 else 5)
    grid = np.stack(np.meshgrid(levels, levels, levels, indexing="ij"), axis=-1).reshape(-1, 3)
    lab = to_lab(grid)
    distance = np.min([np.linalg.norm(lab - it, axis=1) for it in (lab[0], lab[-1])], axis=0)
    chosen: list[Colour] = []
    while len(chosen) < count:
        place = int(distance.argmax())
        red, green, blue = grid[place].tolist()
        chosen.append((red, green, blue))
        distance = np.minimum(distance, np.linalg.norm(lab - lab[place], axis=1))
    return tuple(chosen)
