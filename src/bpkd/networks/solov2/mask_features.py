"""SOLOv2's mask feature branch: one map for all objects, whose combinations are their masks."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from bpkd.networks.solov2.layers import ConvGN, with_coordinates


class MaskFeatureHead(nn.Module):
    """P2 to P5, each brought to stride 4 and summed; the coarsest knows where it is.

    Args:
        in_channels: channels of the levels.
        channels: channels of the sum.
        out_channels: E, channels of the mask features.
        deformable: whether all its convolutions are.
    """

    def __init__(
        self, in_channels: int, channels: int, out_channels: int, deformable: bool = False
    ) -> None:
        super().__init__()
        self.convs_all_levels = nn.ModuleList(
            _branch(in_channels, channels, level, deformable) for level in range(4)
        )
        self.conv_pred = ConvGN(channels, out_channels, 1, deformable)
        if not deformable:
            conv = self.conv_pred.get_submodule("conv")
            nn.init.kaiming_normal_(conv.weight, mode="fan_out", nonlinearity="relu")  # type: ignore[arg-type]

    def forward(self, levels: Sequence[Tensor]) -> Tensor:
        """P2 to P5, (N, D, h, w) and halves of it -> mask features (N, E, h, w), never negative."""
        *fine, coarse = levels
        maps = [*fine, with_coordinates(coarse)]
        branches = [each(map_) for each, map_ in zip(self.convs_all_levels, maps, strict=True)]
        total = branches[0]
        for branch in branches[1:]:
            total = total + branch
        features: Tensor = self.conv_pred(total)
        return features


def _branch(in_channels: int, channels: int, level: int, deformable: bool) -> nn.Sequential:
    """A convolution; for coarser levels as many as it takes to double the size again and again."""
    branch = nn.Sequential()
    for i in range(max(level, 1)):
        entering = channels if i else in_channels + 2 * (level == 3)
        branch.add_module(f"conv{i}", ConvGN(entering, channels, deformable=deformable))
        if level:
            up = nn.Upsample(scale_factor=2, mode="bilinear", align_corners=False)
            branch.add_module(f"upsample{i}", up)
    return branch
