"""The published SOLOv2 networks, equal to OpenMMLab's configurations of the same names.

``weights`` is the backbone's ImageNet weights: a file, ``hub`` or None for random ones; a whole
trained network is loaded by :func:`bpkd.networks.checkpoints.load_openmmlab`. As published, stem
and first stage of the backbone are not trained, and its batch normalisation keeps its statistics:
where it learns from random weights, give ``frozen_stages=0, norm_eval=False``.
"""

from __future__ import annotations

from typing import Any

from bpkd.networks.solov2.network import SOLOv2

_LIGHT: dict[str, Any] = {
    "channels": 256,
    "stacked_convs": 2,
    "kernel_channels": 128,
    "scale_ranges": "light",
}
_LIGHT_DEFORMABLE = _LIGHT | {
    "stacked_convs": 3,
    "scale_ranges": "light_deformable",
    "deformable": "last",
}
_DEFORMABLE: dict[str, Any] = {"deformable": "all"}


def solov2_light_r18(
    num_classes: int = 80,
    weights: str | None = None,
    frozen_stages: int = 1,
    norm_eval: bool = True,
) -> SOLOv2:
    """Light SOLOv2 on ResNet-18, the student of the paper's Table 4."""
    return _on("resnet18", num_classes, weights, frozen_stages, norm_eval, **_LIGHT)


def solov2_light_r34(
    num_classes: int = 80,
    weights: str | None = None,
    frozen_stages: int = 1,
    norm_eval: bool = True,
) -> SOLOv2:
    """Light SOLOv2 on ResNet-34."""
    return _on("resnet34", num_classes, weights, frozen_stages, norm_eval, **_LIGHT)


def solov2_light_r50(
    num_classes: int = 80,
    weights: str | None = None,
    frozen_stages: int = 1,
    norm_eval: bool = True,
) -> SOLOv2:
    """Light SOLOv2 on ResNet-50."""
    return _on("resnet50", num_classes, weights, frozen_stages, norm_eval, **_LIGHT)


def solov2_light_r50_dcn(
    num_classes: int = 80,
    weights: str | None = None,
    frozen_stages: int = 1,
    norm_eval: bool = True,
) -> SOLOv2:
    """Light SOLOv2 on a deformable ResNet-50, the last convolution of each branch as well."""
    return _on("resnet50", num_classes, weights, frozen_stages, norm_eval, **_LIGHT_DEFORMABLE)


def solov2_r50(
    num_classes: int = 80,
    weights: str | None = None,
    frozen_stages: int = 1,
    norm_eval: bool = True,
) -> SOLOv2:
    """SOLOv2 on ResNet-50."""
    return _on("resnet50", num_classes, weights, frozen_stages, norm_eval)


def solov2_r101(
    num_classes: int = 80,
    weights: str | None = None,
    frozen_stages: int = 1,
    norm_eval: bool = True,
) -> SOLOv2:
    """SOLOv2 on ResNet-101."""
    return _on("resnet101", num_classes, weights, frozen_stages, norm_eval)


def solov2_r101_dcn(
    num_classes: int = 80,
    weights: str | None = None,
    frozen_stages: int = 1,
    norm_eval: bool = True,
) -> SOLOv2:
    """SOLOv2 on ResNet-101, deformable throughout."""
    return _on("resnet101", num_classes, weights, frozen_stages, norm_eval, **_DEFORMABLE)


def solov2_x101_dcn(
    num_classes: int = 80,
    weights: str | None = None,
    frozen_stages: int = 1,
    norm_eval: bool = True,
) -> SOLOv2:
    """SOLOv2 on ResNeXt-101 64x4d, deformable throughout: the teacher of Table 4."""
    return _on("resnext101_64x4d", num_classes, weights, frozen_stages, norm_eval, **_DEFORMABLE)


def _on(
    backbone: str,
    num_classes: int,
    weights: str | None,
    frozen_stages: int,
    norm_eval: bool,
    **settings: Any,
) -> SOLOv2:
    frozen: dict[str, Any] = {"frozen_stages": frozen_stages, "norm_eval": norm_eval}
    return SOLOv2(num_classes, backbone, weights, **frozen, **settings)
