"""timm's families as backbones: any size, or one line."""

from __future__ import annotations

import pytest
import torch

from bpkd.errors import UserError
from bpkd.networks.backbone import TimmBackbone
from bpkd.networks.foreign import from_module
from bpkd.networks.pspnet import PSPNet
from tests.networks.odd_modules import Halving


@pytest.mark.parametrize(
    "name", ["vit_tiny_patch16_224", "swin_tiny_patch4_window7_224", "hrnet_w18_small", "dla34"]
)
def test_images_of_any_size(name: str) -> None:
    network = PSPNet(3, name, output_stride=32, channels=8)
    network(torch.rand(2, 3, 96, 128)).logits.sum().backward()
    stride = max(network.backbone.reductions)  # type: ignore[union-attr, arg-type]
    with torch.no_grad():
        for height, width in ((100, 75), (64, 97)):
            maps = network.eval()(torch.rand(1, 3, height, width)).logits
            assert maps.shape[-2:] == (-(-height // stride), -(-width // stride))


def test_padding_leaves_multiples_as_they_are() -> None:
    torch.manual_seed(0)
    backbone = TimmBackbone("hrnet_w18_small").eval()
    images = torch.rand(1, 3, 64, 96)
    assert backbone.multiple == 32
    with torch.no_grad():
        pairs = zip(backbone(images), backbone.model(images), strict=True)
        assert all(torch.equal(ours, own) for ours, own in pairs)


def test_a_probe_changes_nothing() -> None:
    torch.manual_seed(3)
    backbone = TimmBackbone("test_resnet.r160_in1k")
    after = torch.rand(1)
    torch.manual_seed(3)
    import timm

    plain = timm.create_model("test_resnet.r160_in1k", features_only=True)
    assert torch.equal(after, torch.rand(1))
    assert backbone.training and all(module.training for module in backbone.modules())
    for (name, ours), own in zip(
        backbone.model.state_dict().items(), plain.state_dict().values(), strict=True
    ):
        assert torch.equal(ours, own), name


def test_one_size_alone() -> None:
    with pytest.raises(UserError, match=r"set img_size, e.g. \[224, 224\].*resnet18d"):
        TimmBackbone("cait_xxs24_224")
    network = PSPNet(3, "cait_xxs24_224", output_stride=32, channels=8, img_size=(64, 96)).eval()
    with torch.no_grad():
        assert network(torch.rand(1, 3, 64, 96)).logits.shape[-2:] == (4, 6)
        assert network(torch.rand(1, 3, 50, 75)).logits.shape[-2:] == (4, 5)
        with pytest.raises(UserError, match=r"evaluation.mode=slide evaluation.window=\[64,96\]"):
            network(torch.rand(1, 3, 65, 96))


def test_a_stride_of_its_own() -> None:
    with pytest.raises(UserError, match=r"no dilation, its own stride is 32; choose output"):
        TimmBackbone("vgg11", 8)
    assert TimmBackbone("vit_tiny_patch16_224", 16).reductions[-1] == 16


@pytest.mark.parametrize("step", [1, 32, 128])
def test_modules_that_want_multiples_are_found_out(step: int) -> None:
    network = from_module(3, "tests.networks.odd_modules.Halving", {"step": step})
    assert network.multiple == step
    assert network(torch.rand(1, 3, 100, 75)).logits.shape[-2:] == (100, 75)
    images = torch.rand(1, 3, 128, 256)
    own = network.network(network.normalisation(images))
    assert isinstance(network.network, Halving)
    assert torch.equal(network(images).logits, own)


def test_a_module_of_one_size_says_so() -> None:
    network = from_module(3, "tests.networks.odd_modules.Square", {"side": 40})
    assert network(torch.rand(1, 3, 40, 40)).logits.shape[-2:] == (40, 40)
    with pytest.raises(UserError, match=r"does not take images of 41 x 40: .* multiple: 32"):
        network(torch.rand(1, 3, 41, 40))
