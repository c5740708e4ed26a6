"""A small sample of timm's families as backbone: each trains, or says in one line why not."""

from __future__ import annotations

import pytest
import timm
import torch

from bpkd.errors import UserError
from bpkd.networks.pspnet import PSPNet

#: Of every kind that was met: dilated; of its own stride; padded to multiples; channels last.
TRAIN = {
    "resnet10t": 8,
    "lcnet_050": 8,
    "test_convnext": 32,
    "mobilevitv2_050": 32,
    "repvit_m0_9": 32,
}
#: Of one size, which they get by img_size, or no backbone at all.
REFUSED = {
    "test_vit": 8,  # no dilation
    "levit_128s": 32,
    "efficientformer_l1": 32,
}


@pytest.mark.parametrize("name", TRAIN)
def test_families_that_train(name: str) -> None:
    network = PSPNet(3, name, output_stride=TRAIN[name], channels=8).train()
    network(torch.rand(2, 3, 64, 96)).logits.sum().backward()
    with torch.no_grad():
        assert network.eval()(torch.rand(1, 3, 50, 75)).logits.shape[:2] == (1, 3)


@pytest.mark.parametrize("name", REFUSED)
def test_families_that_do_not_are_told_in_one_line(name: str) -> None:
    with pytest.raises(UserError, match=f"timm's {name} .*another backbone, e.g. ") as caught:
        PSPNet(3, name, output_stride=REFUSED[name], channels=8)
    assert "\n" not in str(caught.value)


def test_what_a_family_of_one_size_is_told_to_do_works() -> None:
    size = list(timm.get_pretrained_cfg("levit_128s").input_size[1:])
    network = PSPNet(3, "levit_128s", output_stride=32, channels=8, img_size=size).train()
    network(torch.rand(2, 3, *size)).logits.sum().backward()
    with torch.no_grad():
        assert network.eval()(torch.rand(1, 3, 100, 75)).logits.shape[:2] == (1, 3)
