"""SOLOv2: objects by where they are; a mask is a kernel's product with features that all share.

Wang et al., SOLOv2: Dynamic and Fast Instance Segmentation, NeurIPS 2020.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bpkd.errors import UserError
from bpkd.networks.base import InstanceOutput
from bpkd.networks.solov2.backbone import Backbone
from bpkd.networks.solov2.fpn import FPN
from bpkd.networks.solov2.head import SOLOv2Head
from bpkd.networks.solov2.targets import ranges

DIVISOR = 32  # the input's sides are multiples of it


class SOLOv2(nn.Module):
    """SOLOv2 on any backbone that timm knows.

    Images of any size go in; inside they are normalised, then padded with zeros at the right and
    at the bottom to a multiple of 32. The defaults are the full heads; the light ones have
    ``channels=256, stacked_convs=2, kernel_channels=128, scale_ranges="light"``.

    Args:
        num_classes: C; 80 in COCO.
        backbone: a name from ``timm.list_models()`` with maps at strides 4, 8, 16 and 32.
        weights: the backbone's weights: a file, ``hub`` (timm's own download), or None.
        channels: width of the category and kernel branches, a multiple of 32.
        stacked_convs: convolutions of each of the two.
        kernel_channels: E, of kernels and mask features, a multiple of 32.
        mask_channels: width of the mask feature branch, a multiple of 32.
        pyramid_channels: width of the pyramid's levels; 256 in every published network.
        num_grids: S of each of the five levels.
        scale_ranges: for each level the least and largest size of its objects in training, or
            ``full``, ``light`` or ``light_deformable``, those of the published networks; see
            :func:`bpkd.networks.solov2.targets.assign`.
        deformable: where convolutions are: ``none``; ``last``, the backbone's and the last of
            each branch; ``all``, the backbone's and all of the heads'.
        frozen_stages: stages of the backbone, and its stem with them, that are not trained; None
            is 1 where the backbone has weights, 0 where it learns from nothing.
        norm_eval: whether the backbone's batch normalisation keeps its statistics in training;
            None: where it has weights.

    Raises:
        UserError: a backbone without such maps, a width that is no multiple of 32, or not five
            grids and ranges.

    Example:
        >>> network = SOLOv2(3, "test_resnet.r160_in1k", channels=32, stacked_convs=1,
        ...     kernel_channels=32, mask_channels=32).eval()
        >>> output = network(torch.rand(1, 3, 50, 70))
        >>> output.mask_features.shape  # of 64 x 96 pixels
        torch.Size([1, 32, 16, 24])
        >>> [tuple(level.shape) for level in output.category[:2]]
        [(1, 3, 40, 40), (1, 3, 36, 36)]
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        num_classes: int = 80,
        backbone: str = "resnet50",
        weights: str | None = None,
        *,
        channels: int = 512,
        stacked_convs: int = 4,
        kernel_channels: int = 256,
        mask_channels: int = 128,
        pyramid_channels: int = 256,
        num_grids: Sequence[int] = (40, 36, 24, 16, 12),
        scale_ranges: str | Sequence[Sequence[float]] = "full",
        deformable: Literal["none", "last", "all"] = "none",
        frozen_stages: int | None = None,
        norm_eval: bool | None = None,
    ) -> None:
        super().__init__()
        widths = {
            "channels": channels,
            "kernel_channels": kernel_channels,
            "mask_channels": mask_channels,
        }
        for name, width in widths.items():
            if width < 1 or width % 32:
                raise UserError(f"SOLOv2: {name} is {width}; expected a multiple of 32")
        if deformable not in ("none", "last", "all"):
            raise UserError(f"SOLOv2: deformable is {deformable!r}; expected none, last or all")
        sizes = ranges(scale_ranges)
        if len(num_grids) != 5 or len(sizes) != 5:
            raise UserError(
                "SOLOv2: num_grids and scale_ranges have an entry for each of the five levels; "
                f"got {len(num_grids)} and {len(sizes)}"
            )
        self.num_classes = num_classes
        self.num_grids = tuple(num_grids)
        self.scale_ranges = sizes
        trained = weights is not None
        self.backbone = Backbone(
            backbone,
            weights,
            deformable=deformable != "none",
            frozen_stages=int(trained) if frozen_stages is None else frozen_stages,
            norm_eval=trained if norm_eval is None else norm_eval,
        )
        self.neck = FPN(self.backbone.channels, pyramid_channels)
        self.mask_head = SOLOv2Head(
            num_classes,
            pyramid_channels,
            channels=channels,
            stacked_convs=stacked_convs,
            mask_channels=mask_channels,
            kernel_channels=kernel_channels,
            num_grids=num_grids,
            deformable=deformable,
        )
        mean, std = (
            torch.tensor(v).view(1, 3, 1, 1) for v in (self.backbone.mean, self.backbone.std)
        )
        self.register_buffer("mean", mean, persistent=False)
        self.register_buffer("std", std, persistent=False)

    def forward(self, images: Tensor) -> InstanceOutput:
        """Images (N, 3, H, W), RGB in [0, 1] -> :class:`InstanceOutput`."""
        maps = self.backbone(padded((images - self.mean) / self.std))
        levels = self.neck(maps)
        category, kernels, mask_features = self.mask_head(levels)
        features = {"backbone": maps[-1]}
        features |= {f"p{i}": level for i, level in enumerate(levels, 2)}
        return InstanceOutput(category, kernels, mask_features, features)


def padded(maps: Tensor) -> Tensor:
    """Maps (N, D, H, W) with zeros at the right and at the bottom, to multiples of 32.

    Example:
        >>> padded(torch.ones(1, 1, 32, 33)).shape
        torch.Size([1, 1, 32, 64])
    """
    h, w = maps.shape[-2:]
    return F.pad(maps, (0, -w % DIVISOR, 0, -h % DIVISOR))
