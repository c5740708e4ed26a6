"""The paper's parameters and multiply-adds (Table 2), and counts that can be made by hand."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from bpkd import networks
from bpkd.networks.base import SegNetwork, SegOutput
from bpkd.networks.cost import multiply_adds, parameters
from bpkd.networks.layers import Classifier

# Millions of parameters and billions of multiply-adds, at 150 classes and 512 x 512.
TABLE = {
    "pspnet_r101": (68.07, 256.89),
    "pspnet_r18": (12.82, 54.53),
    "hrnet_w48": (65.95, 95.64),
    "hrnet_w18s": (3.97, 10.49),
    "deeplabv3plus_r101": (62.68, 255.67),
    "deeplabv3plus_mv2": (15.35, 69.60),
    "isanet_r101": (56.80, 228.21),
    "isanet_r18": (12.46, 54.33),
}


@pytest.mark.parametrize("name", TABLE)
def test_the_papers_table(name: str) -> None:
    with torch.device("meta"):
        network = getattr(networks, name)(150)
    count, cost = parameters(network)["total"], multiply_adds(network, (512, 512))["total"]
    assert (round(count / 1e6, 2), round(cost / 1e9, 2)) == TABLE[name]


class Maps(nn.Module):
    """A backbone of one convolution, without bias, and its normalisation."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, stride=2, padding=1, bias=False)
        self.bn = nn.BatchNorm2d(4)

    def forward(self, images: Tensor) -> list[Tensor]:
        return [self.bn(self.conv(images))]


class Head(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.classifier = Classifier(4, 5, 0.0)

    def forward(self, maps: list[Tensor]) -> tuple[Tensor, Tensor]:
        return self.classifier(maps[-1]), maps[-1]


def test_by_hand() -> None:
    network = SegNetwork(Maps(), Head(), Head())
    network.backbone.eval()
    rows = multiply_adds(network, (8, 12))
    pixels = 4 * 6
    assert rows == {
        "backbone": pixels * 4 * (3 * 9) + 2 * pixels * 4,
        "decode head": pixels * 5 * 4,
        "auxiliary head": pixels * 5 * 4,
        "resize": 4 * 5 * 8 * 12,
        "total": pixels * 4 * (3 * 9 + 2 + 5) + 4 * 5 * 8 * 12,
    }
    assert parameters(network) == {
        "backbone": 108 + 8,
        "decode head": 25,
        "auxiliary head": 25,
        "total": 166,
    }
    # The network is as it was, in its modes as well.
    assert network.training and not network.backbone.training
    assert network(torch.zeros(1, 3, 8, 12)).logits.shape == (1, 5, 4, 6)


class Foreign(nn.Module):
    """Anyone's network: an attention and a transposed convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.up = nn.ConvTranspose2d(3, 2, 2, stride=2)

    def forward(self, images: Tensor) -> SegOutput:
        tokens = images.flatten(2).transpose(1, 2)
        tokens = nn.functional.scaled_dot_product_attention(tokens, tokens, tokens)
        maps = tokens.transpose(1, 2).reshape(images.shape)
        return SegOutput(self.up(maps), {})


def test_a_network_without_parts() -> None:
    network = Foreign()
    rows = multiply_adds(network, (4, 4))
    attention = 2 * 16 * 16 * 3
    assert rows["network"] == attention + 16 * 3 * 2 * 4
    assert rows["resize"] == 4 * 2 * 16
    assert rows["total"] == rows["network"] + rows["resize"]
    assert parameters(network) == {"network": 26, "total": 26}
