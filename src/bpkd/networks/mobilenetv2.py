"""The dilated MobileNetV2 of the paper's DeepLabV3+ (Sandler et al., CVPR 2018)."""

from __future__ import annotations

from bpkd.networks.backbone import TimmBackbone


def mobilenet_v2(weights: str | None = None) -> TimmBackbone:
    """MobileNetV2 at output stride 8, dilated as OpenMMLab does it.

    timm's network has the same arithmetic but for its dilations: the published one dilates the
    first block of a stage, by 1, 1, 1, 2, 2, 4, 4, and none of the blocks after it.

    Args:
        weights: a file, ``hub`` or None.

    Example:
        >>> import torch
        >>> with torch.device("meta"):
        ...     backbone = mobilenet_v2()
        >>> backbone.channels, backbone.reductions
        ([16, 24, 32, 96, 320], [2, 4, 8, 8, 8])
        >>> [block.conv_dw.dilation[0] for block in backbone.model.blocks[3]]
        [2, 1, 1, 1]
    """
    backbone = TimmBackbone("mobilenetv2_100", 8, weights)
    for stage, dilation in zip(backbone.model.blocks, (1, 1, 1, 2, 2, 4, 4), strict=True):
        for index, block in enumerate(stage):
            step = 1 if index else dilation
            block.conv_dw.dilation = block.conv_dw.padding = (step, step)
    return backbone
