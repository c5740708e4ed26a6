"""Files as they are published, into the rows that want them: teachers, and students' backbones."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from bpkd import UserError, networks
from bpkd.networks.checkpoints import to_openmmlab
from bpkd.recipe.loading import load_recipe
from bpkd.training.building import build_student
from bpkd.training.teachers import build_teacher

CLASSES = [f"class {index}" for index in range(19)]
#: What the ImageNet files hold besides the backbone, as their classifiers are called there.
TOPS = {
    "pspnet": {"fc.weight": torch.zeros(10, 512), "fc.bias": torch.zeros(10)},
    "hrnet": {"incre_modules.0.0.conv1.weight": torch.zeros(1), "classifier.bias": torch.zeros(9)},
    "deeplabv3plus": {"head.fc.weight": torch.zeros(10, 1280), "head.fc.bias": torch.zeros(10)},
    "isanet": {"fc.weight": torch.zeros(10, 512), "fc.bias": torch.zeros(10)},
}


def published(network: nn.Module, path: Path) -> Path:
    """A trained network as OpenMMLab publishes it: what it was trained on, and its tensors."""
    meta = {"mmseg_version": "0.26.0", "CLASSES": CLASSES, "PALETTE": [[128, 64, 128]] * 19}
    torch.save({"meta": meta, "state_dict": to_openmmlab(network)}, path)
    return path


def same(first: nn.Module, second: nn.Module) -> bool:
    other = second.state_dict()
    return all(torch.equal(value, other[key]) for key, value in first.state_dict().items())


@pytest.mark.parametrize("pair", TOPS)
def test_a_students_imagenet_file(pair: str, tmp_path: Path) -> None:
    recipe = load_recipe(f"table2/cityscapes/{pair}/plain", ["student.weights=null", "seed=1"])
    source = build_student(recipe, 19)
    backbone: dict[str, Tensor] = {
        key: value for key, value in to_openmmlab(source).items() if key.startswith("backbone.")
    }
    if pair == "deeplabv3plus":
        backbone |= last_convolution()
    else:  # MobileNetV2's file alone is a whole classifier's, with the prefix
        backbone = {key.removeprefix("backbone."): value for key, value in backbone.items()}
    file = tmp_path / "imagenet.pth"
    torch.save({"meta": {}, "state_dict": backbone | TOPS[pair]}, file)
    loaded = load_recipe(f"table2/cityscapes/{pair}/plain", [f"student.weights={file}"])
    student = build_student(loaded, 19)
    assert same(source.backbone, student.backbone)
    assert not same(source.decode_head, student.decode_head)


def last_convolution() -> dict[str, Tensor]:
    """MobileNetV2's 1280 channels, which no segmentation network has."""
    shapes = {"weight": 1280, "bias": 1280, "running_mean": 1280, "running_var": 1280}
    tensors = {f"backbone.conv2.bn.{key}": torch.ones(size) for key, size in shapes.items()}
    return tensors | {"backbone.conv2.conv.weight": torch.ones(1280, 320, 1, 1)}


def test_a_teachers_checkpoint_in_a_taught_row_and_in_its_own(tmp_path: Path) -> None:
    source = networks.pspnet_r18(19)  # small: the slow test has the teachers themselves
    file = published(source, tmp_path / "pspnet_iter_80000.pth")
    changes = ["teacher.use=bpkd.networks.pspnet_r18", f"teacher.checkpoint={file}"]
    teacher = build_teacher(load_recipe("table2/cityscapes/pspnet/bpkd", changes), CLASSES)
    assert teacher is not None and same(source, teacher)
    assert same(source, build_student(load_recipe("table2/cityscapes/pspnet/teacher", changes), 19))
    with pytest.raises(
        UserError, match=r"80000\.pth: a checkpoint of another network: .*\[19, 128"
    ):
        build_teacher(load_recipe("table2/ade20k/pspnet/bpkd", changes), ["other"] * 150)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("pair", TOPS)
def test_every_teachers_checkpoint(pair: str, tmp_path: Path) -> None:
    name = f"table2/cityscapes/{pair}"
    source = build_student(load_recipe(f"{name}/teacher", ["teacher.checkpoint=null"]), 19)
    file = published(source, tmp_path / "teacher.pth")
    change = [f"teacher.checkpoint={file}"]
    teacher = build_teacher(load_recipe(f"{name}/bpkd", change), CLASSES)
    assert teacher is not None and same(source, teacher)
    assert same(source, build_student(load_recipe(f"{name}/teacher", change), 19))
