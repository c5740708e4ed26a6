"""The dilated ResNet of the paper's networks: deep stem, output stride 8 (OpenMMLab's V1c, D8)."""

from __future__ import annotations

from timm.models.resnet import BasicBlock

from bpkd.errors import UserError
from bpkd.networks.backbone import TimmBackbone


def resnet_v1c(depth: int, weights: str | None = None) -> TimmBackbone:
    """ResNet-18 or ResNet-101 with a stem of three 3x3 convolutions, at output stride 8.

    timm's ResNet has the same arithmetic but for one thing: in a basic block it dilates both
    convolutions, where the published networks dilate the first alone.

    Args:
        depth: 18 or 101.
        weights: a file, ``hub`` (ResNet-101 only), or None.

    Raises:
        UserError: another depth, or weights that do not fit or do not exist.

    Example:
        >>> import torch
        >>> with torch.device("meta"):
        ...     backbone = resnet_v1c(18)
        >>> [tuple(block.conv1.dilation) for block in backbone.model.layer4]
        [(2, 2), (4, 4)]
        >>> [tuple(block.conv2.dilation) for block in backbone.model.layer4]
        [(1, 1), (1, 1)]
    """
    if depth not in (18, 101):
        raise UserError(f"depth is 18 or 101, got {depth}")
    if depth == 18 and weights == "hub":
        raise UserError(
            "timm's hub has no ResNet-18 with a deep stem; give weights a file, e.g. OpenMMLab's "
            "resnet18_v1c, or leave it out"
        )
    name = "resnet18" if depth == 18 else "resnet101c"
    backbone = TimmBackbone(name, 8, weights, stem_type="deep", stem_width=32)
    for module in backbone.modules():
        if isinstance(module, BasicBlock):
            module.conv2.dilation = module.conv2.padding = (1, 1)
    return backbone
