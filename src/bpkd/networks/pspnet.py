"""PSPNet: pyramid pooling over the backbone's last map (Zhao et al., CVPR 2017)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bpkd.networks.backbone import TimmBackbone
from bpkd.networks.base import SegNetwork, resize
from bpkd.networks.fcn import FCNHead
from bpkd.networks.layers import Classifier, ConvModule


class PSPHead(nn.Module):
    """Averages of the map over grids of several sizes, joined to the map itself.

    Args:
        in_channels: channels of the backbone's last map.
        num_classes: C.
        channels: channels of each pooled branch and of the map before the classifier.
        pool_scales: sizes of the square grids.
        dropout: share of channels dropped before the classifier.
    """

    def __init__(
        self,
        in_channels: int,
        num_classes: int,
        channels: int = 512,
        pool_scales: Sequence[int] = (1, 2, 3, 6),
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        self.pool_scales = tuple(pool_scales)
        self.psp_modules = nn.ModuleList(ConvModule(in_channels, channels) for _ in pool_scales)
        self.bottleneck = ConvModule(in_channels + len(pool_scales) * channels, channels, 3)
        self.classifier = Classifier(channels, num_classes, dropout)

    def forward(self, maps: list[Tensor]) -> tuple[Tensor, Tensor]:
        """The backbone's maps -> (logits, the map before the classifier), at the last's size."""
        last = maps[-1]
        pyramid = [last]
        for scale, branch in zip(self.pool_scales, self.psp_modules, strict=True):
            pooled = branch(F.adaptive_avg_pool2d(last, scale))
            pyramid.append(resize(pooled, last.shape[-2:]))
        feature = self.bottleneck(torch.cat(pyramid, dim=1))
        return self.classifier(feature), feature


class PSPNet(SegNetwork):
    """PSPNet on any backbone that timm knows.

    Args:
        num_classes: C.
        backbone: a name from ``timm.list_models()``.
        output_stride: 8, 16 or 32: image pixels a pixel of the logits.
        channels: width of the head (512 in the paper; small students want less).
        auxiliary: whether a second head on the last map but one helps in training.
        weights: the backbone's weights: a file, ``hub`` (timm's own download), or None.
        dropout: share of channels dropped before the classifiers.
        img_size: height and width for backbones that are built for one size; a recipe's crop,
            where it says nothing.

    Example:
        >>> network = PSPNet(3, "test_resnet.r160_in1k", output_stride=8, channels=16).eval()
        >>> network(torch.zeros(1, 3, 64, 96)).logits.shape
        torch.Size([1, 3, 8, 12])
    """

    def __init__(
        self,
        num_classes: int,
        backbone: str = "resnet18d",
        output_stride: int = 8,
        channels: int = 512,
        *,
        auxiliary: bool = True,
        weights: str | None = None,
        dropout: float = 0.1,
        img_size: tuple[int, int] | None = None,
    ) -> None:
        trunk = TimmBackbone(backbone, output_stride, weights, img_size)
        head = PSPHead(trunk.channels[-1], num_classes, channels, dropout=dropout)
        second = None
        if auxiliary:
            second = FCNHead(
                trunk.channels[-2], num_classes, max(channels // 2, 8), dropout=dropout
            )
        super().__init__(trunk, head, second, trunk.mean, trunk.std)
