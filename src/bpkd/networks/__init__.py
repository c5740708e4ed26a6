"""Segmentation networks: one file an architecture, on backbones from timm."""

from bpkd.networks.base import SegNetwork, SegOutput
from bpkd.networks.deeplabv3plus import DeepLabV3Plus
from bpkd.networks.paper import (
    deeplabv3plus_mv2,
    deeplabv3plus_r101,
    hrnet_w18s,
    hrnet_w48,
    isanet_r18,
    isanet_r101,
    pspnet_r18,
    pspnet_r101,
)
from bpkd.networks.pspnet import PSPNet

__all__ = [
    "DeepLabV3Plus",
    "PSPNet",
    "SegNetwork",
    "SegOutput",
    "deeplabv3plus_mv2",
    "deeplabv3plus_r101",
    "hrnet_w18s",
    "hrnet_w48",
    "isanet_r18",
    "isanet_r101",
    "pspnet_r18",
    "pspnet_r101",
]
