"""The feature pyramid: coarse maps pass what they mean down to fine ones.

Lin et al., Feature Pyramid Networks for Object Detection, CVPR 2017.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn


class Conv(nn.Sequential):
    """A convolution with bias and nothing else, one level down as in OpenMMLab's state dicts."""

    def __init__(self, in_channels: int, channels: int, kernel_size: int) -> None:
        super().__init__()
        conv = nn.Conv2d(in_channels, channels, kernel_size, padding=kernel_size // 2)
        nn.init.xavier_uniform_(conv.weight)
        nn.init.zeros_(conv.bias)  # type: ignore[arg-type]
        self.add_module("conv", conv)


class FPN(nn.Module):
    """P2 to P5 from C2 to C5, and P6, every other pixel of P5.

    Args:
        in_channels: channels of C2 to C5.
        channels: channels of each level.
    """

    def __init__(self, in_channels: Sequence[int], channels: int = 256) -> None:
        super().__init__()
        self.lateral_convs = nn.ModuleList(Conv(each, channels, 1) for each in in_channels)
        self.fpn_convs = nn.ModuleList(Conv(channels, channels, 3) for _ in in_channels)

    def forward(self, maps: Sequence[Tensor]) -> list[Tensor]:
        """Maps, fine to coarse -> as many levels and one, fine to coarse."""
        merged = [conv(each) for conv, each in zip(self.lateral_convs, maps, strict=True)]
        for i in range(len(merged) - 1, 0, -1):
            above = F.interpolate(merged[i], size=merged[i - 1].shape[-2:], mode="nearest")
            merged[i - 1] = merged[i - 1] + above
        levels = [conv(each) for conv, each in zip(self.fpn_convs, merged, strict=True)]
        return [*levels, F.max_pool2d(levels[-1], kernel_size=1, stride=2)]
