"""HRNet: maps of four resolutions side by side, fused again and again (Wang et al., TPAMI 2020)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce

import timm
import torch
from timm.models.resnet import BasicBlock, Bottleneck
from torch import Tensor, nn

from bpkd.networks.base import resize
from bpkd.networks.layouts import backbone_tensors


def _conv(in_channels: int, channels: int, kernel_size: int = 3, stride: int = 1) -> nn.Sequential:
    """A convolution without bias, and its normalisation."""
    conv = nn.Conv2d(
        in_channels, channels, kernel_size, stride, padding=kernel_size // 2, bias=False
    )
    nn.init.kaiming_normal_(conv.weight, mode="fan_out", nonlinearity="relu")
    return nn.Sequential(conv, nn.BatchNorm2d(channels))


def _conv_relu(in_channels: int, channels: int, stride: int) -> nn.Sequential:
    return _conv(in_channels, channels, 3, stride).append(nn.ReLU(inplace=True))


class HRModule(nn.Module):
    """A chain of basic blocks a branch, then every branch receives the sum of all of them.

    Args:
        channels: of each branch, fine to coarse; each has half the resolution of the one before.
        blocks: basic blocks in each branch.
    """

    def __init__(self, channels: Sequence[int], blocks: int) -> None:
        super().__init__()
        self.branches = nn.ModuleList(
            nn.Sequential(*(BasicBlock(width, width) for _ in range(blocks))) for width in channels
        )
        every = range(len(channels))
        self.fuse_layers = nn.ModuleList(
            nn.ModuleList(self._path(channels, source, target) for source in every)
            for target in every
        )

    @staticmethod
    def _path(channels: Sequence[int], source: int, target: int) -> nn.Module:
        """Brings a branch to another's channels and, downward, to its resolution."""
        first, last = channels[source], channels[target]
        if source == target:
            return nn.Identity()
        if source > target:
            return _conv(first, last, kernel_size=1)
        steps = [_conv_relu(first, first, stride=2) for _ in range(target - source - 1)]
        return nn.Sequential(*steps, _conv(first, last, stride=2))

    def forward(self, maps: list[Tensor]) -> list[Tensor]:
        """One map a branch -> as many, of the same shapes."""
        maps = [branch(each) for branch, each in zip(self.branches, maps, strict=True)]
        fused = []
        for target, paths in enumerate(self.fuse_layers):
            size = maps[target].shape[-2:]
            parts = [path(each) for path, each in zip(paths, maps, strict=True)]  # type: ignore[call-overload]
            for source in range(target + 1, len(parts)):
                # By a power of two, then to the size: not the same as once where sizes are odd.
                larger = [side * 2 ** (source - target) for side in parts[source].shape[-2:]]
                parts[source] = resize(resize(parts[source], larger), size)
            fused.append(reduce(torch.add, parts).relu())
        return fused


class HRNet(nn.Module):
    """HRNet as a backbone, with the four branches of its last stage as maps.

    Args:
        width: channels of the finest branch; each coarser one has twice as many.
        modules: fusing modules in stages 2, 3 and 4.
        blocks: blocks in each branch, and in the first stage.
        weights: a file (timm's or OpenMMLab's layout), ``hub`` or None.
        name: timm's name of this network, where ``hub`` finds its weights.

    Attributes:
        channels, reductions: of each map, fine to coarse.
        mean, std: for RGB in [0, 1].

    Example:
        >>> import torch
        >>> maps = HRNet(4, (1, 1, 1), 1)(torch.zeros(1, 3, 64, 64))
        >>> [tuple(each.shape[1:]) for each in maps]
        [(4, 16, 16), (8, 8, 8), (16, 4, 4), (32, 2, 2)]
    """

    def __init__(
        self,
        width: int,
        modules: Sequence[int] = (1, 4, 3),
        blocks: int = 4,
        weights: str | None = None,
        name: str = "hrnet_w48",
    ) -> None:
        super().__init__()
        self.channels = [width * 2**index for index in range(4)]
        self.reductions = [4, 8, 16, 32]
        self.mean, self.std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
        self.conv1, self.bn1 = _conv(3, 64, stride=2)
        self.conv2, self.bn2 = _conv(64, 64, stride=2)
        first = Bottleneck(64, 64, downsample=_conv(64, 256, kernel_size=1))
        self.layer1 = nn.Sequential(first, *(Bottleneck(256, 64) for _ in range(blocks - 1)))
        widths = self.channels
        # Every branch starts from the coarsest one there is, by one step of half the resolution.
        fine, coarse = _conv_relu(256, width, 1), _conv_relu(256, widths[1], 2)
        self.transition1 = nn.ModuleList([fine, nn.Sequential(coarse)])
        self.transition2 = self._new_branch(widths[1], widths[2], 2)
        self.transition3 = self._new_branch(widths[2], widths[3], 3)
        for stage, count in zip((2, 3, 4), modules, strict=True):
            chain = (HRModule(widths[:stage], blocks) for _ in range(count))
            self.add_module(f"stage{stage}", nn.Sequential(*chain))
        if weights is not None:
            self._load(weights, name)

    @staticmethod
    def _new_branch(in_channels: int, channels: int, index: int) -> nn.ModuleList:
        kept = (nn.Identity() for _ in range(index))
        return nn.ModuleList([*kept, nn.Sequential(_conv_relu(in_channels, channels, 2))])

    def _load(self, weights: str, name: str) -> None:
        wanted = self.state_dict()
        if weights == "hub":
            found = timm.create_model(name, pretrained=True).state_dict()
            tensors = {key: found[key] for key in wanted}
        else:
            tensors = wanted | backbone_tensors(weights, wanted, name)
        self.load_state_dict(tensors)

    def forward(self, images: Tensor) -> list[Tensor]:
        """Normalised images (N, 3, H, W) -> four maps, at strides 4, 8, 16 and 32."""
        stem = self.bn1(self.conv1(images)).relu()
        stem = self.layer1(self.bn2(self.conv2(stem)).relu())
        maps: list[Tensor] = self.stage2([path(stem) for path in self.transition1])  # type: ignore[operator]
        maps = self.stage3([*maps, self.transition2[-1](maps[-1])])  # type: ignore[operator]
        maps = self.stage4([*maps, self.transition3[-1](maps[-1])])  # type: ignore[operator]
        return maps
