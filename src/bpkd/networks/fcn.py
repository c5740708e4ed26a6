"""Fully convolutional heads: on one map (here the auxiliary head), or on all of them (HRNet's)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from bpkd.networks.base import resize
from bpkd.networks.layers import Classifier, ConvModule


class FCNHead(nn.Module):
    """One 3x3 convolution and a classifier on one of the backbone's maps.

    Args:
        in_channels: channels of the map it reads.
        num_classes: C.
        channels: channels of the convolution.
        index: which of the backbone's maps; -2 is the last but one.
        dropout: share of channels dropped before the classifier.
    """

    def __init__(
        self,
        in_channels: int,
        num_classes: int,
        channels: int = 256,
        index: int = -2,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        self.index = index
        self.convs = nn.Sequential(ConvModule(in_channels, channels, 3))
        self.classifier = Classifier(channels, num_classes, dropout)

    def forward(self, maps: list[Tensor]) -> tuple[Tensor, Tensor]:
        """The backbone's maps -> (logits, the map before the classifier)."""
        feature = self.convs(maps[self.index])
        return self.classifier(feature), feature


class MultiMapFCNHead(nn.Module):
    """All of the backbone's maps at the finest one's size, a 1x1 convolution and a classifier.

    Args:
        in_channels: channels of each map.
        num_classes: C.
        dropout: share of channels dropped before the classifier; HRNet's head drops none.

    Example:
        >>> head = MultiMapFCNHead((2, 4), num_classes=3)
        >>> logits, feature = head([torch.zeros(1, 2, 8, 8), torch.zeros(1, 4, 4, 4)])
        >>> logits.shape, feature.shape
        (torch.Size([1, 3, 8, 8]), torch.Size([1, 6, 8, 8]))
    """

    def __init__(self, in_channels: Sequence[int], num_classes: int, dropout: float = 0.0) -> None:
        super().__init__()
        channels = sum(in_channels)
        self.convs = nn.Sequential(ConvModule(channels, channels))
        self.classifier = Classifier(channels, num_classes, dropout)

    def forward(self, maps: list[Tensor]) -> tuple[Tensor, Tensor]:
        """The backbone's maps -> (logits, the map before the classifier), at the first's size."""
        joined = torch.cat([resize(each, maps[0].shape[-2:]) for each in maps], dim=1)
        feature = self.convs(joined)
        return self.classifier(feature), feature
