"""What SOLOv2's heads are built of: normalised convolutions, and maps that know their place."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from bpkd.networks.solov2.deformable import DeformConv2d

NORMAL_STD = 0.01  # of the heads' initial weights


class ConvGN(nn.Sequential):
    """A convolution without bias, group normalisation, ReLU; the size is kept.

    Args:
        in_channels: channels of the maps.
        channels: channels of the result, a multiple of 32.
        kernel_size: odd.
        deformable: whether the convolution is.
    """

    def __init__(
        self, in_channels: int, channels: int, kernel_size: int = 3, deformable: bool = False
    ) -> None:
        super().__init__()
        padding = kernel_size // 2
        if deformable:
            conv: nn.Conv2d = DeformConv2d(in_channels, channels, kernel_size, padding=padding)
            nn.init.normal_(conv.conv_offset.weight, std=NORMAL_STD)  # type: ignore[union-attr, arg-type]
        else:
            conv = nn.Conv2d(in_channels, channels, kernel_size, padding=padding, bias=False)
            nn.init.normal_(conv.weight, std=NORMAL_STD)
        self.add_module("conv", conv)
        self.add_module("gn", nn.GroupNorm(32, channels))
        self.add_module("activate", nn.ReLU(inplace=True))


def with_coordinates(maps: Tensor) -> Tensor:
    """Maps (N, D, h, w) -> (N, D + 2, h, w): x, then y, from -1 at one border's pixels to 1.

    Example:
        >>> with_coordinates(torch.zeros(1, 1, 2, 3))[0, 1:].tolist()
        [[[-1.0, 0.0, 1.0], [-1.0, 0.0, 1.0]], [[-1.0, -1.0, -1.0], [1.0, 1.0, 1.0]]]
    """
    n, _, h, w = maps.shape
    x, y = _line(w, maps), _line(h, maps)
    return torch.cat([maps, x.expand(n, 1, h, w), y[:, None].expand(n, 1, h, w)], dim=1)


def _line(count: int, like: Tensor) -> Tensor:
    """From -1 to 1 in so many steps; exporters tie linspace's to the image that they trace."""
    if not torch.compiler.is_exporting():
        return torch.linspace(-1, 1, count, device=like.device, dtype=like.dtype)
    steps = torch.arange(count, device=like.device, dtype=like.dtype)
    # Symbolic while the image is traced.
    return steps * (2 / torch.sym_max(count - 1, 1)) - 1  # type: ignore[return-value]
