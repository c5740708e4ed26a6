"""CBAM: which channels and which places of a map matter, with learnt layers or without any.

Woo et al., CBAM: Convolutional Block Attention Module, ECCV 2018, as AttnFD's code has it.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def cbam_free(maps: Tensor) -> Tensor:
    """Maps times sigmoid(mean + maximum over pixels), times the same over channels.

    Args:
        maps: (N, D, h, w).

    Returns:
        (N, D, h, w).

    Example:
        >>> refined = cbam_free(torch.ones(1, 16, 1, 1))  # g = sigmoid(2), g sigmoid(2 g)
        >>> round(refined[0, 0, 0, 0].item(), 6)
        0.75168
    """
    gate = maps.mean(dim=(2, 3), keepdim=True) + maps.amax(dim=(2, 3), keepdim=True)
    gated = gate.sigmoid() * maps
    places = gated.amax(dim=1, keepdim=True) + gated.mean(dim=1, keepdim=True)
    return places.sigmoid() * gated


class CBAM(nn.Module):
    """:func:`cbam_free` with two linear layers in the channel gate and a 7x7 in the other.

    Args:
        channels: D.
        reduction: D over the hidden units of the channel gate.
    """

    def __init__(self, channels: int, reduction: int = 16) -> None:
        super().__init__()
        hidden = max(1, channels // reduction)
        self.fc1, self.fc2 = nn.Linear(channels, hidden), nn.Linear(hidden, channels)
        self.conv = nn.Conv2d(2, 1, kernel_size=7, padding=3, bias=False)
        self.norm = nn.BatchNorm2d(1)

    def forward(self, maps: Tensor) -> Tensor:
        """(N, D, h, w) -> (N, D, h, w)."""
        pooled = maps.mean(dim=(2, 3)), maps.amax(dim=(2, 3))
        gate: Tensor = sum(self.fc2(F.relu(self.fc1(each))) for each in pooled)  # type: ignore[assignment]
        gated = gate.sigmoid()[:, :, None, None] * maps
        places = torch.cat([gated.amax(1, keepdim=True), gated.mean(1, keepdim=True)], dim=1)
        refined: Tensor = self.norm(self.conv(places)).sigmoid() * gated
        return refined
