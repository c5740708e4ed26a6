"""PSPNet and DeepLabV3+ on timm's backbones, and a backbone's weights from a file."""

from __future__ import annotations

from pathlib import Path

import pytest
import safetensors.torch
import timm
import torch
import torchvision
from torch import nn

from bpkd.errors import UserError
from bpkd.networks import DeepLabV3Plus, PSPNet, pspnet_r18
from bpkd.networks.backbone import TimmBackbone
from bpkd.networks.base import SegNetwork, resize
from bpkd.networks.checkpoints import to_openmmlab
from bpkd.networks.hrnet import HRNet
from bpkd.networks.isanet import ISAHead
from bpkd.networks.layouts import openmmlab_names
from bpkd.networks.mobilenetv2 import mobilenet_v2

TINY = ["test_resnet", "test_efficientnet", "test_convnext", "test_byobnet"]


def size(height: int, width: int, stride: int) -> tuple[int, int]:
    """Each halving rounds up, as convolutions with padding do."""
    return -(-height // stride), -(-width // stride)


@pytest.mark.parametrize("stride", [8, 16, 32])
@pytest.mark.parametrize("backbone", ["test_resnet", "test_efficientnet", "test_byobnet"])
def test_pspnet_sizes(backbone: str, stride: int) -> None:
    network = PSPNet(3, backbone, stride, 8)
    for height, width in ((64, 96), (65, 71)):
        with torch.no_grad():
            output = network.eval()(torch.rand(2, 3, height, width))
        assert output.logits.shape == (2, 3, *size(height, width, stride))
        assert output.features["head"].shape == (2, 8, *output.logits.shape[-2:])
        assert output.features["backbone"].shape[1] == network.backbone.channels[-1]


@pytest.mark.parametrize("stride", [8, 16, 32])
@pytest.mark.parametrize("backbone", ["test_resnet", "test_efficientnet"])
def test_deeplabv3plus_sizes(backbone: str, stride: int) -> None:
    network = DeepLabV3Plus(3, backbone, stride, 8, reduced_channels=4).eval()
    for height, width in ((64, 96), (65, 71)):
        with torch.no_grad():
            output = network(torch.rand(1, 3, height, width))
        assert output.logits.shape == (1, 3, *size(height, width, 4))
        # The same reach in the image, whatever the stride.
        last = network.decode_head.aspp_modules[-1].depthwise_conv.conv
        assert last.dilation[0] * stride == 36 * 8
        assert output.features["backbone"].shape[-2:] == size(height, width, stride)


@pytest.mark.parametrize("backbone", TINY)
@pytest.mark.parametrize("architecture", [PSPNet, DeepLabV3Plus])
def test_gradient_reaches_every_parameter(architecture: type[SegNetwork], backbone: str) -> None:
    torch.manual_seed(0)
    network = architecture(3, backbone, channels=8)
    output = network(torch.rand(2, 3, 64, 64))
    assert output.auxiliary is not None
    (output.logits.square().mean() + output.auxiliary.square().mean()).backward()
    without = [name for name, value in network.named_parameters() if value.grad is None]
    assert without == []


def test_auxiliary_head_answers_in_training_alone() -> None:
    network = PSPNet(3, "test_resnet", 8, 8)
    assert network(torch.rand(2, 3, 64, 64)).auxiliary.shape == (2, 3, 8, 8)
    assert network.eval()(torch.rand(2, 3, 64, 64)).auxiliary is None
    plain = PSPNet(3, "test_resnet", 8, 8, auxiliary=False)
    assert plain(torch.rand(2, 3, 64, 64)).auxiliary is None
    assert sum(p.numel() for p in plain.parameters()) < sum(p.numel() for p in network.parameters())


def test_normalises_its_images() -> None:
    class Identity(nn.Module):
        def forward(self, images: torch.Tensor) -> list[torch.Tensor]:
            return [images]

    class Head(nn.Module):
        def forward(self, maps: list[torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
            return maps[-1], maps[-1]

    network = SegNetwork(Identity(), Head(), mean=(0.1, 0.2, 0.3), std=(1.0, 0.5, 0.25))
    logits = network(torch.full((1, 3, 1, 1), 0.6)).logits
    torch.testing.assert_close(logits.flatten(), torch.tensor([0.5, 0.8, 1.2]))
    assert "mean" not in network.state_dict()


def test_channels_last_backbone() -> None:
    with torch.device("meta"):
        backbone = TimmBackbone("swin_tiny_patch4_window7_224")
    maps = backbone(torch.empty(1, 3, 224, 224, device="meta"))
    assert [each.shape[1] for each in maps] == backbone.channels
    assert [224 // each.shape[-1] for each in maps] == backbone.reductions


def test_resize_skips_nothing_but_the_same_size() -> None:
    maps = torch.rand(1, 2, 3, 4)
    assert resize(maps, (3, 4)) is maps
    assert resize(maps, (4, 3)).shape == (1, 2, 4, 3)


def test_attention_joins_every_pixel_with_every_other() -> None:
    torch.manual_seed(0)
    head = ISAHead(2, 3, 4, key_channels=2, block=2).eval()
    maps = torch.randn(1, 2, 7, 9, requires_grad=True)
    # Without its 3x3 neighbourhood and residual: the two attentions alone.
    attended = head._attend(torch.nn.functional.pad(maps.repeat(1, 2, 1, 1), (0, 1, 0, 1)))
    (gradient,) = torch.autograd.grad(attended[0, :, 3, 4].abs().sum(), maps)
    assert (gradient.abs().sum(dim=1) > 0).all()


# Weights from a file


def shaken(network: nn.Module) -> nn.Module:
    """The network with statistics and norms unlike a new one's."""
    torch.manual_seed(1)
    for key, value in network.state_dict().items():
        if value.is_floating_point() and value.ndim == 1:
            value.uniform_(0.5, 1.5) if "bias" not in key else value.normal_(std=0.1)
    return network


@pytest.mark.parametrize("suffix", ["safetensors", "pth"])
@pytest.mark.parametrize("backbone", TINY)
def test_weights_from_timms_layout(tmp_path: Path, backbone: str, suffix: str) -> None:
    state = shaken(timm.create_model(backbone)).state_dict()
    path = tmp_path / f"weights.{suffix}"
    if suffix == "pth":
        torch.save({"state_dict": state, "epoch": 3}, path)
    else:
        safetensors.torch.save_file(state, path)
    loaded = TimmBackbone(backbone, weights=str(path)).eval()
    original = timm.create_model(backbone, features_only=True, pretrained=False)
    assert len(loaded.state_dict()) == len(original.state_dict())
    flat = {key.replace(".", "_"): value for key, value in state.items()}
    for key, value in loaded.model.state_dict().items():
        assert torch.equal(value, flat[key.replace(".", "_")]), key
    assert all("state_dict" not in getattr(m, "pretrained_cfg", {}) for m in loaded.modules())


def test_weights_from_torchvisions_layout(tmp_path: Path) -> None:
    theirs = shaken(torchvision.models.mobilenet_v2()).eval()
    path = tmp_path / "mobilenet_v2.pth"
    torch.save(theirs.state_dict(), path)
    ours = TimmBackbone("mobilenetv2_100", 32, str(path)).eval()
    images = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(ours(images)[-1], theirs.features[:18](images))


def test_weights_from_openmmlabs_layout(tmp_path: Path) -> None:
    path = tmp_path / "weights.pth"
    source = shaken(pspnet_r18(3, auxiliary=False))
    tensors = {k: v for k, v in to_openmmlab(source).items() if k.startswith("backbone.")}
    assert "backbone.stem.7.weight" in tensors
    torch.save({"state_dict": tensors | {"head.fc.weight": torch.zeros(10, 512)}}, path)
    loaded = pspnet_r18(3, auxiliary=False, weights=str(path))
    for key, value in source.backbone.state_dict().items():
        assert torch.equal(value, loaded.backbone.state_dict()[key]), key

    mobile = shaken(timm.create_model("mobilenetv2_100", num_classes=0)).state_dict()
    torch.save({name: mobile[key] for key, name in openmmlab_names(mobile).items()}, path)
    for key, value in mobilenet_v2(str(path)).model.state_dict().items():
        assert torch.equal(value, mobile[key]), key


def test_hrnet_weights(tmp_path: Path) -> None:
    source, path = shaken(HRNet(4, (1, 1, 1), 1)), tmp_path / "hrnet.pth"
    torch.save(source.state_dict() | {"incre_modules.0.0.conv1.weight": torch.zeros(1)}, path)
    loaded = HRNet(4, (1, 1, 1), 1, str(path)).state_dict()
    assert all(torch.equal(value, loaded[key]) for key, value in source.state_dict().items())
    with pytest.raises(UserError, match=r"not the weights of .*3\d+ of 3\d+ entries .*0 are unk"):
        HRNet(6, (1, 1, 1), 1, str(path))


# What goes wrong


def test_another_networks_file(tmp_path: Path) -> None:
    path = tmp_path / "weights.pth"
    torch.save(timm.create_model("test_resnet").state_dict(), path)
    with pytest.raises(UserError, match=r"weights\.pth: not the weights of test_convnext: \d+ of"):
        TimmBackbone("test_convnext", weights=str(path))


def test_a_bigger_networks_file_is_refused(tmp_path: Path) -> None:
    # Every tensor of the small network is in the file, and more.
    path = tmp_path / "weights.pth"
    state = timm.create_model("test_resnet").state_dict()
    torch.save(state | {"layer4.7.conv1.weight": torch.zeros(1)}, path)
    with pytest.raises(UserError, match=r": 0 of \d+ entries .*1 are unknown, e.g. layer4.7.conv1"):
        TimmBackbone("test_resnet", weights=str(path))


def test_no_such_file_and_no_tensors(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"nowhere\.pth: no such file"):
        PSPNet(3, "test_resnet", weights="nowhere.pth")
    path = tmp_path / "list.pth"
    torch.save([1, 2], path)
    with pytest.raises(UserError, match=r"list\.pth: holds no tensors by name"):
        PSPNet(3, "test_resnet", weights=str(path))
    path.write_bytes(b"no weights at all")
    with pytest.raises(UserError, match=r"list\.pth: not a readable file of tensors"):
        PSPNet(3, "test_resnet", weights=str(path))


def test_unknown_backbone() -> None:
    with pytest.raises(UserError, match=r"timm knows no network 'resnet18x'.*resnet18"):
        PSPNet(3, "resnet18x")


@pytest.mark.parametrize("backbone", ["swin_tiny_patch4_window7_224", "vgg11", "edgenext_xx_small"])
def test_backbone_without_dilation(backbone: str) -> None:
    message = rf"timm's {backbone} cannot be a backbone at output stride 8: .+; choose"
    with torch.device("meta"), pytest.raises(UserError, match=message):
        PSPNet(3, backbone, 8)


def test_other_arguments() -> None:
    with pytest.raises(UserError, match="output_stride is 8, 16 or 32, got 4"):
        PSPNet(3, "test_resnet", 4)
    with torch.device("meta"), pytest.raises(UserError, match="needs a map at stride 4, but"):
        DeepLabV3Plus(3, "test_vit", 32)
    with pytest.raises(UserError, match="no ResNet-18 with a deep stem"):
        pspnet_r18(3, weights="hub")
