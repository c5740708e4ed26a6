"""Classes as colours, alone or laid over their image."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

Picture = NDArray[np.uint8]


def colourise(labels: Tensor, palette: Sequence[tuple[int, int, int]]) -> Picture:
    """Labels (H, W) -> colours (H, W, 3); what is no class is black.

    Example:
        >>> import torch
        >>> colourise(torch.tensor([[0, 255]]), [(9, 8, 7)]).tolist()
        [[[9, 8, 7], [0, 0, 0]]]
    """
    count = len(palette)
    table = np.array([*palette, (0, 0, 0)], dtype=np.uint8)
    labels = labels.long().cpu()
    colours: Picture = table[labels.where((labels >= 0) & (labels < count), count).numpy()]
    return colours


def overlay(image: Tensor, labels: Tensor, palette: Sequence[tuple[int, int, int]]) -> Picture:
    """An image uint8 (3, H, W) with the colours of its classes laid over it."""
    pixels = image.permute(1, 2, 0).cpu().numpy().astype(np.uint16)
    colours = colourise(labels, palette).astype(np.uint16)
    return ((2 * pixels + 3 * colours) // 5).astype(np.uint8)
