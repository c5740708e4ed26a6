"""DeepLabV3+: separable atrous pyramid and a fine map from early on (Chen et al., ECCV 2018)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bpkd.errors import UserError
from bpkd.networks.backbone import TimmBackbone
from bpkd.networks.base import SegNetwork, resize
from bpkd.networks.fcn import FCNHead
from bpkd.networks.layers import Classifier, ConvModule, SeparableConvModule


class DepthwiseSeparableASPPHead(nn.Module):
    """The last map at several dilations, joined to a fine map; logits at the fine map's size.

    Args:
        in_channels: channels of the backbone's last map.
        fine_channels: channels of the fine map.
        num_classes: C.
        channels: width of the head.
        reduced_channels: channels that the fine map is reduced to.
        dilations: of the branches; the first is a 1x1 convolution.
        index: which of the backbone's maps is the fine one.
        dropout: share of channels dropped before the classifier.
    """

    def __init__(
        self,
        in_channels: int,
        fine_channels: int,
        num_classes: int,
        channels: int = 512,
        *,
        reduced_channels: int = 48,
        dilations: Sequence[int] = (1, 12, 24, 36),
        index: int = 0,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        self.index = index
        self.image_pool = ConvModule(in_channels, channels)
        self.aspp_modules = nn.ModuleList(
            ConvModule(in_channels, channels)
            if dilation == 1
            else SeparableConvModule(in_channels, channels, dilation)
            for dilation in dilations
        )
        self.bottleneck = ConvModule((len(dilations) + 1) * channels, channels, 3)
        self.c1_bottleneck = ConvModule(fine_channels, reduced_channels)
        self.sep_bottleneck = nn.Sequential(
            SeparableConvModule(channels + reduced_channels, channels),
            SeparableConvModule(channels, channels),
        )
        self.classifier = Classifier(channels, num_classes, dropout)

    def forward(self, maps: list[Tensor]) -> tuple[Tensor, Tensor]:
        """The backbone's maps -> (logits, the map before the classifier), at the fine size."""
        last, fine = maps[-1], self.c1_bottleneck(maps[self.index])
        image = self.image_pool(F.adaptive_avg_pool2d(last, 1))
        pyramid = [resize(image, last.shape[-2:])]
        pyramid += [branch(last) for branch in self.aspp_modules]
        coarse = self.bottleneck(torch.cat(pyramid, dim=1))
        joined = torch.cat([resize(coarse, fine.shape[-2:]), fine], dim=1)
        feature = self.sep_bottleneck(joined)
        return self.classifier(feature), feature


class DeepLabV3Plus(SegNetwork):
    """DeepLabV3+ on any backbone that timm knows and that has a map at stride 4.

    Args:
        num_classes: C.
        backbone: a name from ``timm.list_models()``.
        output_stride: 8, 16 or 32, of the backbone's last map; the logits are at stride 4.
        channels: width of the head (512 in the paper; small students want less).
        reduced_channels: channels that the fine map is reduced to.
        auxiliary: whether a second head on the last map but one helps in training.
        weights: the backbone's weights: a file, ``hub`` (timm's own download), or None.
        dropout: share of channels dropped before the classifiers.
        img_size: height and width for backbones that are built for one size; a recipe's crop,
            where it says nothing.

    Example:
        >>> network = DeepLabV3Plus(3, "test_resnet.r160_in1k", channels=16).eval()
        >>> network(torch.zeros(1, 3, 64, 96)).logits.shape
        torch.Size([1, 3, 16, 24])
    """

    def __init__(
        self,
        num_classes: int,
        backbone: str = "resnet101d",
        output_stride: int = 16,
        channels: int = 512,
        *,
        reduced_channels: int = 48,
        auxiliary: bool = True,
        weights: str | None = None,
        dropout: float = 0.1,
        img_size: tuple[int, int] | None = None,
    ) -> None:
        trunk = TimmBackbone(backbone, output_stride, weights, img_size)
        if 4 not in trunk.reductions:
            raise UserError(
                f"DeepLabV3+ needs a map at stride 4, but {backbone} gives strides "
                f"{trunk.reductions}; choose another backbone, or PSPNet"
            )
        index = trunk.reductions.index(4)
        # The published dilations are for stride 8; at a coarser map the same reach in the image
        # needs smaller ones.
        dilations = [1] + [max(step * 8 // output_stride, 1) for step in (12, 24, 36)]
        head = DepthwiseSeparableASPPHead(
            trunk.channels[-1],
            trunk.channels[index],
            num_classes,
            channels,
            reduced_channels=reduced_channels,
            dilations=dilations,
            index=index,
            dropout=dropout,
        )
        second = None
        if auxiliary:
            second = FCNHead(
                trunk.channels[-2], num_classes, max(channels // 2, 8), dropout=dropout
            )
        super().__init__(trunk, head, second, trunk.mean, trunk.std)
