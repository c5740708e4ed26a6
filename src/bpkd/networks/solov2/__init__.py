"""SOLOv2: the network, what it is to learn, and what its outputs say."""

from bpkd.networks.solov2.network import SOLOv2
from bpkd.networks.solov2.published import (
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
    "SOLOv2",
    "solov2_light_r18",
    "solov2_light_r34",
    "solov2_light_r50",
    "solov2_light_r50_dcn",
    "solov2_r50",
    "solov2_r101",
    "solov2_r101_dcn",
    "solov2_x101_dcn",
]
