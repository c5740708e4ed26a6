"""The eight networks of the BPKD paper, equal to OpenMMLab's of the same names.

Four teachers and their students, each at output stride 8 (HRNet: 4). ``weights`` is the
backbone's ImageNet weights: a file in timm's, torchvision's or OpenMMLab's layout, ``hub`` for
timm's own download, or None for random ones. A whole trained network of OpenMMLab's is loaded by
:func:`bpkd.networks.checkpoints.load_openmmlab`.
"""

from __future__ import annotations

from torch import nn

from bpkd.networks.backbone import TimmBackbone
from bpkd.networks.base import SegNetwork
from bpkd.networks.deeplabv3plus import DepthwiseSeparableASPPHead
from bpkd.networks.fcn import FCNHead, MultiMapFCNHead
from bpkd.networks.hrnet import HRNet
from bpkd.networks.isanet import ISAHead
from bpkd.networks.mobilenetv2 import mobilenet_v2
from bpkd.networks.pspnet import PSPHead
from bpkd.networks.resnet import resnet_v1c

TEACHER, STUDENT = 512, 128  # channels of the decode heads; the auxiliary heads have half


def pspnet_r101(num_classes: int, auxiliary: bool = True, weights: str | None = None) -> SegNetwork:
    """PSPNet on ResNet-101, the teacher of :func:`pspnet_r18`."""
    backbone = resnet_v1c(101, weights)
    head = PSPHead(backbone.channels[-1], num_classes, TEACHER)
    return _network(backbone, head, num_classes, TEACHER // 2 if auxiliary else 0)


def pspnet_r18(num_classes: int, auxiliary: bool = True, weights: str | None = None) -> SegNetwork:
    """PSPNet on ResNet-18, with narrow heads."""
    backbone = resnet_v1c(18, weights)
    head = PSPHead(backbone.channels[-1], num_classes, STUDENT)
    return _network(backbone, head, num_classes, STUDENT // 2 if auxiliary else 0)


def hrnet_w48(num_classes: int, auxiliary: bool = True, weights: str | None = None) -> SegNetwork:
    """HRNet-W48, the teacher of :func:`hrnet_w18s`; no auxiliary head, whatever is asked."""
    return _hrnet(HRNet(48, weights=weights), num_classes)


def hrnet_w18s(num_classes: int, auxiliary: bool = True, weights: str | None = None) -> SegNetwork:
    """HRNet-W18 small; no auxiliary head, whatever is asked."""
    backbone = HRNet(18, (1, 3, 2), 2, weights, "hrnet_w18_small_v2")
    return _hrnet(backbone, num_classes)


def deeplabv3plus_r101(
    num_classes: int, auxiliary: bool = True, weights: str | None = None
) -> SegNetwork:
    """DeepLabV3+ on ResNet-101, the teacher of :func:`deeplabv3plus_mv2`; logits at stride 4."""
    return _deeplabv3plus(resnet_v1c(101, weights), num_classes, auxiliary)


def deeplabv3plus_mv2(
    num_classes: int, auxiliary: bool = True, weights: str | None = None
) -> SegNetwork:
    """DeepLabV3+ on MobileNetV2; logits at stride 4."""
    return _deeplabv3plus(mobilenet_v2(weights), num_classes, auxiliary)


def isanet_r101(num_classes: int, auxiliary: bool = True, weights: str | None = None) -> SegNetwork:
    """ISANet on ResNet-101, the teacher of :func:`isanet_r18`."""
    backbone = resnet_v1c(101, weights)
    head = ISAHead(backbone.channels[-1], num_classes, TEACHER)
    return _network(backbone, head, num_classes, TEACHER // 2 if auxiliary else 0)


def isanet_r18(num_classes: int, auxiliary: bool = True, weights: str | None = None) -> SegNetwork:
    """ISANet on ResNet-18, with narrow heads."""
    backbone = resnet_v1c(18, weights)
    head = ISAHead(backbone.channels[-1], num_classes, STUDENT)
    return _network(backbone, head, num_classes, STUDENT // 2 if auxiliary else 0)


def _network(
    backbone: TimmBackbone, head: nn.Module, num_classes: int, auxiliary_channels: int
) -> SegNetwork:
    second = None
    if auxiliary_channels:
        second = FCNHead(backbone.channels[-2], num_classes, auxiliary_channels)
    return SegNetwork(backbone, head, second, backbone.mean, backbone.std)


def _deeplabv3plus(backbone: TimmBackbone, num_classes: int, auxiliary: bool) -> SegNetwork:
    # Both widths are the teacher's: the paper's MobileNetV2 student has no narrower heads.
    last, fine = backbone.channels[-1], backbone.channels[1]
    head = DepthwiseSeparableASPPHead(last, fine, num_classes, TEACHER, index=1)
    return _network(backbone, head, num_classes, TEACHER // 2 if auxiliary else 0)


def _hrnet(backbone: HRNet, num_classes: int) -> SegNetwork:
    head = MultiMapFCNHead(backbone.channels, num_classes)
    return SegNetwork(backbone, head, None, backbone.mean, backbone.std)
