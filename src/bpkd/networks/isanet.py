"""ISANet: self-attention in two sparse steps (Huang et al., 2019, arXiv:1907.12273)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bpkd.networks.layers import Classifier, ConvModule


class SelfAttention(nn.Module):
    """Every pixel of a map gathers from all of the map's pixels.

    Args:
        channels: of the map, in and out.
        key_channels: of the keys and queries.
    """

    def __init__(self, channels: int, key_channels: int = 256) -> None:
        super().__init__()
        self.scale = key_channels**-0.5
        self.key_project = self._project(channels, key_channels)
        self.query_project = self._project(channels, key_channels)
        self.value_project = nn.Conv2d(channels, channels, 1)
        self.output_project = ConvModule(channels, channels)

    @staticmethod
    def _project(channels: int, key_channels: int) -> nn.Sequential:
        return nn.Sequential(
            ConvModule(channels, key_channels), ConvModule(key_channels, key_channels)
        )

    def forward(self, maps: Tensor) -> Tensor:
        """Maps (N, D, h, w) -> the same shape: softmax(q k / sqrt(key_channels)) v, projected."""
        query = self.query_project(maps).flatten(2).transpose(1, 2)
        key = self.key_project(maps).flatten(2)
        value = self.value_project(maps).flatten(2).transpose(1, 2)
        shares = (query @ key * self.scale).softmax(dim=-1)
        gathered = (shares @ value).transpose(1, 2).reshape(maps.shape)
        projected: Tensor = self.output_project(gathered)
        return projected


class ISAHead(nn.Module):
    """Attention among pixels far apart, then among neighbours, joined to the map itself.

    Together the two steps connect every pixel with every other at a fraction of the cost of
    full attention.

    Args:
        in_channels: channels of the backbone's last map.
        num_classes: C.
        channels: width of the head.
        key_channels: channels of the keys and queries.
        block: side of the square in which pixels count as neighbours.
        dropout: share of channels dropped before the classifier.

    Example:
        >>> head = ISAHead(4, num_classes=3, channels=8, key_channels=2, block=2)
        >>> logits, feature = head([torch.zeros(2, 4, 5, 7)])
        >>> logits.shape, feature.shape
        (torch.Size([2, 3, 5, 7]), torch.Size([2, 8, 5, 7]))
    """

    def __init__(
        self,
        in_channels: int,
        num_classes: int,
        channels: int = 512,
        *,
        key_channels: int = 256,
        block: int = 8,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        self.block = block
        self.in_conv = ConvModule(in_channels, channels, 3)
        self.global_relation = SelfAttention(channels, key_channels)
        self.local_relation = SelfAttention(channels, key_channels)
        self.out_conv = ConvModule(2 * channels, channels)
        self.classifier = Classifier(channels, num_classes, dropout)

    def forward(self, maps: list[Tensor]) -> tuple[Tensor, Tensor]:
        """The backbone's maps -> (logits, the map before the classifier), at the last's size."""
        residual = self.in_conv(maps[-1])
        height, width = residual.shape[-2:]
        down, across = -height % self.block, -width % self.block
        top, left = down // 2, across // 2
        padded = F.pad(residual, (left, across - left, top, down - top))
        attended = self._attend(padded)[..., top : top + height, left : left + width]
        feature = self.out_conv(torch.cat([attended, residual], dim=1))
        return self.classifier(feature), feature

    def _attend(self, maps: Tensor) -> Tensor:
        """Maps (N, D, h, w), sides multiples of the block -> the same shape, attended twice."""
        count, channels, height, width = maps.shape
        side = self.block
        rows, columns = height // side, width // side
        cells = maps.view(count, channels, rows, side, columns, side)
        # Pixels at the same place of their blocks form one map of rows x columns.
        far = cells.permute(0, 3, 5, 1, 2, 4).reshape(-1, channels, rows, columns)
        far = self.global_relation(far).view(count, side, side, channels, rows, columns)
        # Then each block is a map of its own.
        near = far.permute(0, 4, 5, 3, 1, 2).reshape(-1, channels, side, side)
        near = self.local_relation(near).view(count, rows, columns, channels, side, side)
        attended: Tensor = near.permute(0, 3, 1, 4, 2, 5).reshape(maps.shape)
        return attended
