"""SOLOv2's heads: for each cell of a grid, what is centred there and the kernel of its mask."""

from __future__ import annotations

from collections.abc import Sequence
from math import log
from typing import Literal

from torch import Tensor, nn

from bpkd.networks.base import resize
from bpkd.networks.solov2.layers import NORMAL_STD, ConvGN, with_coordinates
from bpkd.networks.solov2.mask_features import MaskFeatureHead

Deformable = Literal["none", "last", "all"]
PRIOR = 0.01  # the probability of a class in a cell before anything is learnt


class SOLOv2Head(nn.Module):
    """The category and kernel branches, shared by the five levels, and the mask features.

    Args:
        num_classes: C.
        in_channels: channels of the levels.
        channels: width of both branches.
        stacked_convs: convolutions of each.
        mask_channels: width of the mask feature branch.
        kernel_channels: E, of the kernels and of the mask features.
        num_grids: S of each level.
        deformable: which convolutions are: none, the last of each branch, or all and those of the
            mask feature branch too.
    """

    def __init__(
        self,
        num_classes: int,
        in_channels: int = 256,
        channels: int = 512,
        stacked_convs: int = 4,
        mask_channels: int = 128,
        kernel_channels: int = 256,
        num_grids: Sequence[int] = (40, 36, 24, 16, 12),
        deformable: Deformable = "none",
    ) -> None:
        super().__init__()
        self.num_grids = tuple(num_grids)
        self.cls_convs = _stack(in_channels, channels, stacked_convs, deformable)
        self.kernel_convs = _stack(in_channels + 2, channels, stacked_convs, deformable)
        self.conv_cls = nn.Conv2d(channels, num_classes, 3, padding=1)
        self.conv_kernel = nn.Conv2d(channels, kernel_channels, 3, padding=1)
        for conv, bias in ((self.conv_cls, -log(1 / PRIOR - 1)), (self.conv_kernel, 0.0)):
            nn.init.normal_(conv.weight, std=NORMAL_STD)
            nn.init.constant_(conv.bias, bias)  # type: ignore[arg-type]
        self.mask_feature_head = MaskFeatureHead(
            in_channels, mask_channels, kernel_channels, deformable == "all"
        )

    def forward(self, levels: Sequence[Tensor]) -> tuple[list[Tensor], list[Tensor], Tensor]:
        """P2 to P6 -> category logits (N, C, S, S) and kernels (N, E, S, S) a level, features."""
        category, kernels = [], []
        for size, level in zip(self.num_grids, _at_head_strides(levels), strict=True):
            # The coordinates go through the resize with the rest.
            grid = resize(with_coordinates(level), (size, size))
            logits, kernel = grid[:, :-2], grid
            for conv in self.cls_convs:
                logits = conv(logits)
            for conv in self.kernel_convs:
                kernel = conv(kernel)
            category.append(self.conv_cls(logits))
            kernels.append(self.conv_kernel(kernel))
        return category, kernels, self.mask_feature_head(levels[:4])


def category_inputs(levels: Sequence[Tensor], grids: Sequence[int]) -> list[Tensor]:
    """What the category branch begins with: P2 to P6, each resized to its grid's S x S."""
    return [
        resize(level, (size, size))
        for size, level in zip(grids, _at_head_strides(levels), strict=True)
    ]


def _stack(in_channels: int, channels: int, count: int, deformable: Deformable) -> nn.ModuleList:
    return nn.ModuleList(
        ConvGN(
            channels if i else in_channels,
            channels,
            deformable=deformable == "all" or (deformable == "last" and i == count - 1),
        )
        for i in range(count)
    )


def _at_head_strides(levels: Sequence[Tensor]) -> list[Tensor]:
    """P2 at half its size and P6 at P5's: strides 8, 8, 16, 32, 32."""
    first, *middle, last = levels
    # Its sides are multiples of 8. Halved as whole numbers, for exporters tie factors to one size.
    half = resize(first, [side // 2 for side in first.shape[-2:]])
    return [half, *middle, resize(last, middle[-1].shape[-2:])]
