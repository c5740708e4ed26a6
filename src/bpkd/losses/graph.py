"""A graph of the pixels of a map: each gets a message from all, by how well their features fit."""

from __future__ import annotations

from math import sqrt

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class GraphModule(nn.Module):
    """out = ReLU(BN(1x1 [x, ReLU(BN(1x1 m))])), m_i = Σ_j softmax_j(q_i · k_j / √(D/2)) v_j.

    q, k and v are 1x1 convolutions of x to D/2 channels; no convolution has a bias. From the code
    of CIRKDV2.

    Args:
        channels: D, of what comes in and goes out.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        half = max(1, channels // 2)
        self.q, self.k, self.v = (nn.Conv2d(channels, half, 1, bias=False) for _ in range(3))
        self.message = nn.Sequential(
            nn.Conv2d(half, channels, kernel_size=1, bias=False), nn.BatchNorm2d(channels)
        )
        self.out = nn.Sequential(
            nn.Conv2d(2 * channels, channels, kernel_size=1, bias=False), nn.BatchNorm2d(channels)
        )

    def forward(self, maps: Tensor) -> Tensor:
        """(N, D, h, w) -> (N, D, h, w)."""
        q, k, v = (part(maps).flatten(2) for part in (self.q, self.k, self.v))
        weights = (q.transpose(1, 2) @ k / sqrt(q.shape[1])).softmax(dim=2)
        messages = (v @ weights.transpose(1, 2)).reshape(len(maps), -1, *maps.shape[-2:])
        refined = F.relu(self.message(messages))
        return F.relu(self.out(torch.cat([maps, refined], dim=1)))
