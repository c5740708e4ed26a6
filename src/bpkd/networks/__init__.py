"""Segmentation networks: one file an architecture, on backbones from timm."""

from bpkd.networks.base import InstanceOutput, SegNetwork, SegOutput
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
from bpkd.networks.solov2 import (
    SOLOv2,
    solov2_light_r18,
    solov2_light_r34,
    solov2_light_r50,
    solov2_light_r50_dcn,
    solov2_r50,
    solov2_r101,
    solov2_r101_dcn,
    solov2_x101_dcn,
)

__all__ = [
    "DeepLabV3Plus",
    "InstanceOutput",
    "PSPNet",
    "SOLOv2",
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
    "solov2_light_r18",
    "solov2_light_r34",
    "solov2_light_r50",
    "solov2_light_r50_dcn",
    "solov2_r50",
    "solov2_r101",
    "solov2_r101_dcn",
    "solov2_x101_dcn",
]
