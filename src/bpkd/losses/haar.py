"""The Haar wavelet transform of maps: what is left at a coarse scale, and the details between."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor


def haar(maps: Tensor, scales: int) -> tuple[Tensor, list[Tensor]]:
    """Of each 2x2 block (a b / c d), with zeros at the end of odd sizes, scale after scale.

    Args:
        maps: (N, D, h, w).
        scales: how often the block means are transformed in turn.

    Returns:
        low: (N, D, h', w'), (a + b + c + d) / 2 of the last scale.
        details: a scale each, the finest first, (N, D, 3, h_j, w_j): (a + b - c - d) / 2,
            (a - b + c - d) / 2 and (a - b - c + d) / 2.

    Example:
        >>> low, (details,) = haar(torch.tensor([[[[4.0, 2.0], [0.0, 0.0]]]]), scales=1)
        >>> low.item(), details.flatten().tolist()
        (3.0, [3.0, 1.0, 1.0])
    """
    details = []
    for _ in range(scales):
        maps = F.pad(maps, (0, maps.shape[3] % 2, 0, maps.shape[2] % 2))
        a, b = maps[..., ::2, ::2], maps[..., ::2, 1::2]
        c, d = maps[..., 1::2, ::2], maps[..., 1::2, 1::2]
        details.append(torch.stack([a + b - c - d, a - b + c - d, a - b - c + d], dim=2) / 2)
        maps = (a + b + c + d) / 2
    return maps, details


def inverse_haar(low: Tensor, details: Sequence[Tensor]) -> Tensor:
    """The maps of :func:`haar`, sides rounded up to even numbers.

    Example:
        >>> maps = torch.arange(16.0).view(1, 1, 4, 4)
        >>> torch.equal(inverse_haar(*haar(maps, scales=2)), maps)
        True
    """
    for detail in reversed(details):
        n, d, _, h, w = detail.shape
        low = low[..., :h, :w]  # what an odd size was padded by
        x, y, z = detail.unbind(dim=2)
        corners = torch.stack([low + x + y + z, low + x - y - z, low - x + y - z, low - x - y + z])
        low = (
            (corners / 2)
            .reshape(2, 2, n, d, h, w)
            .permute(2, 3, 4, 0, 5, 1)
            .reshape(n, d, 2 * h, -1)
        )
    return low
