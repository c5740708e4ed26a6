"""Modulated deformable convolution (DCNv2): each tap looks where, and as hard as, it is told to.

Zhu et al., Deformable ConvNets v2, CVPR 2019; the operator is torchvision's.
"""

from __future__ import annotations

from math import prod

import torch
from torch import Tensor, nn
from torchvision.ops import deform_conv2d


class DeformConv2d(nn.Conv2d):
    """A convolution without bias whose taps are moved and weighed by a second one.

    ``conv_offset`` gives 3 K channels for K taps: K pairs (dy, dx) in pixels, then K logits of the
    weight in [0, 1]. It is never grouped, and begins at 0 here: taps in their places, each at half
    its weight. Outside of the maps everything is 0.

    Args:
        in_channels: channels of the maps.
        out_channels: channels of the result.
        kernel_size: side of the window.
        stride: step of the window.
        padding: zeros at each side.
        dilation: distance of neighbouring taps.
        groups: of the convolution itself.

    Example:
        >>> import torch
        >>> conv = DeformConv2d(1, 1, 1)
        >>> _ = nn.init.ones_(conv.weight)
        >>> maps = torch.tensor([[[[1.0, 2.0, 3.0]]]])
        >>> conv(maps).flatten().tolist()
        [0.5, 1.0, 1.5]
        >>> conv.conv_offset.bias.data = torch.tensor([0.0, 1.0, 100.0])  # one to the right, fully
        >>> conv(maps).flatten().tolist()
        [2.0, 3.0, 0.0]
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | tuple[int, ...],
        stride: int | tuple[int, ...] = 1,
        padding: int | tuple[int, ...] = 0,
        dilation: int | tuple[int, ...] = 1,
        groups: int = 1,
    ) -> None:
        place = (kernel_size, stride, padding, dilation)
        super().__init__(in_channels, out_channels, *place, groups, bias=False)  # type: ignore[arg-type]
        taps = prod(self.kernel_size)
        self.conv_offset = nn.Conv2d(in_channels, 3 * taps, *place)  # type: ignore[arg-type]
        nn.init.zeros_(self.conv_offset.weight)
        nn.init.zeros_(self.conv_offset.bias)  # type: ignore[arg-type]
        bound = (in_channels * taps) ** -0.5
        nn.init.uniform_(self.weight, -bound, bound)

    @classmethod
    def like(cls, conv: nn.Conv2d) -> DeformConv2d:
        """A deformable one in a convolution's place, with its weights."""
        place = (conv.kernel_size, conv.stride, conv.padding, conv.dilation, conv.groups)
        made = cls(conv.in_channels, conv.out_channels, *place)  # type: ignore[arg-type]
        made.weight = conv.weight
        return made

    def forward(self, maps: Tensor) -> Tensor:
        """Maps (N, D, H, W) -> (N, out_channels, h, w)."""
        # Half precision is too coarse for positions, and no CPU's operator knows it.
        full = torch.float64 if maps.dtype == torch.float64 else torch.float32
        where = self.conv_offset(maps).to(full)
        taps = where.shape[1] // 3
        out: Tensor = deform_conv2d(
            maps.to(full),
            where[:, : 2 * taps],
            self.weight.to(full),
            stride=self.stride,
            padding=self.padding,
            dilation=self.dilation,
            mask=where[:, 2 * taps :].sigmoid(),
        )
        return out.to(maps.dtype)
