"""SOLOv2 as a network: sizes, what is trained, initial weights, checkpoints, cost."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from bpkd.errors import UserError
from bpkd.networks import solov2
from bpkd.networks.checkpoints import load_openmmlab, to_openmmlab
from bpkd.networks.cost import multiply_adds, parameters, strides
from bpkd.networks.solov2 import SOLOv2
from bpkd.networks.solov2.deformable import DeformConv2d
from bpkd.networks.speed import speed
from bpkd.networks.weights import load_weights

TINY = {"channels": 32, "stacked_convs": 1, "kernel_channels": 32, "mask_channels": 32}
BACKBONE = "test_resnet.r160_in1k"


def tiny(num_classes: int = 3, **options: object) -> SOLOv2:
    torch.manual_seed(0)
    return SOLOv2(num_classes, **({"backbone": BACKBONE} | TINY | options))


@pytest.mark.parametrize("size", [(64, 64), (33, 65), (1, 1), (100, 37)])
def test_any_size_and_any_batch(size: tuple[int, int]) -> None:
    # At one pixel a group of one channel would have nothing to be normalised by.
    network = tiny(mask_channels=64, kernel_channels=64).eval()
    images = torch.rand(2, 3, *size)
    with torch.no_grad():
        output = network(images)
        alone = network(images[1:])
    h, w = (-(-side // 32) * 8 for side in size)
    assert output.mask_features.shape == (2, 64, h, w)
    assert [level.shape[-1] for level in output.category] == [40, 36, 24, 16, 12]
    assert {"backbone", "p2", "p6"} <= set(output.features)
    torch.testing.assert_close(output.category[0][1:], alone.category[0], rtol=1e-4, atol=1e-5)


def test_padding_is_what_the_mean_is() -> None:
    network = tiny().eval()
    images = torch.rand(1, 3, 64, 80)
    wide = network.mean.expand(1, 3, 64, 96).clone()
    wide[..., :80] = images
    with torch.no_grad():
        torch.testing.assert_close(network(images).mask_features, network(wide).mask_features)


@pytest.mark.parametrize("name", ["convnext_atto", "mobilenetv3_small_050"])
def test_other_backbones(name: str) -> None:
    network = tiny(backbone=name).eval()
    with torch.no_grad():
        assert network(torch.rand(1, 3, 64, 64)).mask_features.shape == (1, 32, 16, 16)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision(dtype: torch.dtype) -> None:
    network = tiny(backbone="resnet50", deformable="all").eval()
    images = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        full = network(images).mask_features
        with torch.autocast("cpu", dtype=dtype):
            half = network(images).mask_features
    assert (full - half.float()).abs().mean() < 0.05 * full.std()


def test_what_learns_from_nothing_learns_whole() -> None:
    network = tiny().train()
    assert all(p.requires_grad for p in network.parameters())
    norms = [m for m in network.modules() if isinstance(m, nn.BatchNorm2d)]
    assert norms and all(m.training for m in norms)


def test_what_is_published_rests_in_part() -> None:
    network = tiny(frozen_stages=1, norm_eval=True).train()
    resting = {k.split(".")[2] for k, p in network.named_parameters() if not p.requires_grad}
    assert resting == {"conv1", "bn1", "layer1"}
    norms = [m for m in network.modules() if isinstance(m, nn.BatchNorm2d)]
    assert norms and not any(m.training for m in norms)
    assert network.mask_head.training and not network.train(False).training
    partly = tiny(frozen_stages=2, norm_eval=False).train().backbone.model
    assert not partly.bn1.training and not partly.layer2[0].bn1.training
    assert partly.layer3[0].bn1.training


def test_initial_weights() -> None:
    torch.manual_seed(0)
    head = solov2.solov2_light_r18(80).mask_head
    assert head.conv_cls.bias.unique().tolist() == pytest.approx([-4.59512])
    assert not head.conv_kernel.bias.any()
    pred = head.mask_feature_head.conv_pred
    assert pred.conv.weight.std().item() == pytest.approx(0.125, rel=0.02)
    plain = [m for k, m in head.named_modules() if isinstance(m, nn.Conv2d) and "pred" not in k]
    assert all(m.weight.std().item() == pytest.approx(0.01, rel=0.02) for m in plain)
    fpn = solov2.solov2_light_r18(80).neck.fpn_convs[0].conv
    assert fpn.weight.abs().max().item() == pytest.approx((6 / (2 * 9 * 256)) ** 0.5, rel=0.01)
    assert not fpn.bias.any()


def test_initial_weights_of_deformable_convolutions() -> None:
    network = tiny(backbone="resnet50", deformable="all")
    head = [m for m in network.mask_head.modules() if isinstance(m, DeformConv2d)]
    body = [m for m in network.backbone.modules() if isinstance(m, DeformConv2d)]
    assert len(head) == 1 + 1 + 7 + 1 and len(body) == 4 + 6 + 3
    for conv in head:
        assert not conv.conv_offset.bias.any()
        bound = (conv.in_channels * conv.weight[0, 0].numel()) ** -0.5
        assert conv.weight.abs().max().item() == pytest.approx(bound, rel=0.02)
        assert conv.conv_offset.weight.std().item() == pytest.approx(0.01, rel=0.15)
    assert not any(p.any() for conv in body for p in conv.conv_offset.parameters())


def test_the_light_deformable_one_has_them_at_its_branches_ends() -> None:
    with torch.device("meta"):
        head = solov2.solov2_light_r50_dcn().mask_head
    kinds = [isinstance(conv.conv, DeformConv2d) for conv in head.kernel_convs]
    assert kinds == [False, False, True]
    assert not any(isinstance(m, DeformConv2d) for m in head.mask_feature_head.modules())


def test_a_deformable_backbone_keeps_loaded_weights(tmp_path: Path) -> None:
    plain = tiny(backbone="resnet50").backbone.model
    file = tmp_path / "backbone.pt"
    torch.save(plain.state_dict(), file)
    loaded = tiny(backbone="resnet50", deformable="last", weights=str(file)).backbone
    for key, value in plain.state_dict().items():
        assert torch.equal(loaded.model.state_dict()[key], value), key
    assert not loaded.model.conv1.weight.requires_grad  # as published, where there are weights


def test_checkpoints(tmp_path: Path) -> None:
    first, second = tiny(), tiny()
    nn.init.normal_(first.mask_head.conv_cls.weight)
    theirs, ours = tmp_path / "theirs.pth", tmp_path / "ours.pt"
    torch.save({"state_dict": to_openmmlab(first), "meta": {"epoch": 1}}, theirs)
    torch.save(first.state_dict(), ours)
    for file in (theirs, ours):
        nn.init.zeros_(second.mask_head.conv_cls.weight)
        load_weights(second, file)
        assert torch.equal(second.mask_head.conv_cls.weight, first.mask_head.conv_cls.weight)


def test_a_checkpoint_of_another_network_is_refused() -> None:
    tensors = to_openmmlab(tiny(num_classes=5))
    with pytest.raises(UserError, match=r"2 of another shape .*conv_cls.*same num_classes"):
        load_openmmlab(tiny(), tensors)
    tensors = to_openmmlab(tiny())
    tensors.pop("neck.fpn_convs.2.conv.bias")
    with pytest.raises(UserError, match=r"1 of .* keys missing, 0 unknown"):
        load_openmmlab(tiny(), tensors)
    with pytest.raises(UserError, match=r"no mask_head\.conv_cls\.weight among its 1 keys"):
        load_openmmlab(tiny(), {"decode_head.conv_seg.weight": torch.zeros(1)})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"channels": 48}, "channels is 48; expected a multiple of 32"),
        ({"num_grids": [40, 36]}, "got 2 and 5"),
        ({"scale_ranges": "ligth"}, "light"),
        ({"deformable": "all"}, "no stages of bottlenecks|has no"),
        ({"deformable": True}, "expected none, last or all"),
        ({"frozen_stages": 5}, "frozen_stages is 5"),
        ({"backbone": "vit_tiny_patch16_224"}, "strides"),
        ({"backbone": "resnet"}, "timm knows no network"),
    ],
)
def test_mistakes(options: dict[str, object], message: str) -> None:
    options = {"backbone": "resnet18"} | options
    with pytest.raises(UserError, match=message):
        tiny(**options)


def test_cost_by_hand() -> None:
    with torch.device("meta"):
        network = tiny(num_grids=[4, 4, 4, 4, 4])
    counts = multiply_adds(network, (64, 64))
    assert list(counts) == ["backbone", "neck", "mask head", "total"]
    assert counts["total"] == sum(counts.values()) - counts["total"]
    sides = (16, 8, 4, 2)  # P2 to P5
    widths = network.backbone.channels
    neck = sum(
        s * s * (width * 256 + 9 * 256 * 256) for s, width in zip(sides, widths, strict=True)
    )
    assert counts["neck"] == neck
    cell = 9 * 32 * (256 + 258) + 9 * 32 * (3 + 32) + 2 * 2 * 32  # both branches, both norms
    # Resizes: P2 halved and P6 to P5's size, of 256, and each of 258 to its grid.
    grids = 5 * 16 * (cell + 4 * 258) + 4 * 256 * (8 * 8 + 2 * 2)
    branch = [
        (s, c) for s, c in ((16, 256), (8, 256), (4, 256), (8, 32), (2, 258), (4, 32), (8, 32))
    ]
    masks = sum(s * s * (9 * 32 * c + 2 * 32) for s, c in branch)
    ups = 4 * 32 * (16**2 + 8**2 + 16**2 + 4**2 + 8**2 + 16**2)
    masks += ups + 16**2 * (32 * 32 + 2 * 32)
    assert counts["mask head"] == grids + masks
    assert strides(network, (64, 64))["total"] == 4
    assert parameters(network)["total"] == sum(p.numel() for p in network.parameters())


def test_a_deformable_convolution_costs_its_own_and_its_offsets() -> None:
    conv = DeformConv2d(4, 8, 3, padding=1, groups=2)

    class Logits(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.conv = nn.Conv2d(3, 4, 1), conv

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return self.conv(self.first(images))

    pixels = 6 * 6
    expected = pixels * (3 * 4 + 27 * 4 * 9 + 8 * 2 * 9)
    assert multiply_adds(Logits(), (6, 6))["network"] == expected


def test_time_and_memory() -> None:
    milliseconds, memory = speed(tiny(), (64, 64))
    assert list(milliseconds) == ["backbone", "neck", "mask head", "total"]
    assert memory["total"] > 0
