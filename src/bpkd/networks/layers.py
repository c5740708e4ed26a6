"""The layers that the heads are built of."""

from __future__ import annotations

from torch import Tensor, nn


class ConvModule(nn.Sequential):
    """A convolution without bias, batch normalisation, ReLU; the size is kept at stride 1.

    Named after (and with the state-dict keys of) the layer that OpenMMLab's heads are made of.
    """

    def __init__(
        self,
        in_channels: int,
        channels: int,
        kernel_size: int = 1,
        dilation: int = 1,
        groups: int = 1,
    ) -> None:
        super().__init__()
        padding = dilation * (kernel_size // 2)
        conv = nn.Conv2d(
            in_channels, channels, kernel_size, 1, padding, dilation, groups, bias=False
        )
        nn.init.kaiming_normal_(conv.weight, mode="fan_out", nonlinearity="relu")
        self.add_module("conv", conv)
        self.add_module("bn", nn.BatchNorm2d(channels))
        self.add_module("activate", nn.ReLU(inplace=True))


class SeparableConvModule(nn.Sequential):
    """A depthwise 3x3 convolution, then a pointwise one, each with normalisation and ReLU."""

    def __init__(self, in_channels: int, channels: int, dilation: int = 1) -> None:
        super().__init__()
        depthwise = ConvModule(in_channels, in_channels, 3, dilation, groups=in_channels)
        self.add_module("depthwise_conv", depthwise)
        self.add_module("pointwise_conv", ConvModule(in_channels, channels))


class Classifier(nn.Module):
    """Dropout over whole channels, then a 1x1 convolution with bias to the classes."""

    def __init__(self, channels: int, num_classes: int, dropout: float) -> None:
        super().__init__()
        self.dropout = nn.Dropout2d(dropout)
        self.conv_seg = nn.Conv2d(channels, num_classes, 1)
        nn.init.normal_(self.conv_seg.weight, std=0.01)
        nn.init.zeros_(self.conv_seg.bias)  # type: ignore[arg-type]

    def forward(self, maps: Tensor) -> Tensor:
        """Maps (N, D, h, w) -> logits (N, C, h, w)."""
        logits: Tensor = self.conv_seg(self.dropout(maps))
        return logits
