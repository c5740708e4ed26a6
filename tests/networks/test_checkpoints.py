"""Checkpoints under OpenMMLab's names: what is found in them, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from bpkd.errors import UserError
from bpkd.networks import SegNetwork, pspnet_r18
from bpkd.networks.checkpoints import load_openmmlab, to_openmmlab


@pytest.fixture(scope="module")
def source() -> SegNetwork:
    torch.manual_seed(0)
    return pspnet_r18(3)


@pytest.fixture(scope="module")
def tensors(source: SegNetwork) -> dict[str, Tensor]:
    return to_openmmlab(source)


@pytest.fixture(scope="module")
def target() -> SegNetwork:
    return pspnet_r18(3)


def equal(first: SegNetwork, second: SegNetwork) -> bool:
    other = second.state_dict()
    return all(torch.equal(value, other[key]) for key, value in first.state_dict().items())


@pytest.mark.parametrize("prefix", ["", "module.", "architecture.model.", "student.", "model."])
def test_prefixes(
    source: SegNetwork, target: SegNetwork, tensors: dict[str, Tensor], prefix: str
) -> None:
    with torch.no_grad():
        for value in target.parameters():
            value.zero_()
    state = {prefix + key: value for key, value in tensors.items()}
    if prefix:
        # A distillation's own tensors, beside the student's.
        state["distiller.connector.weight"] = torch.zeros(1)
    if prefix == "student.":
        state |= {f"teacher.{key}": torch.zeros_like(value) for key, value in tensors.items()}
    load_openmmlab(target, {"state_dict": state})
    assert equal(source, target)


def test_from_a_file(
    source: SegNetwork, target: SegNetwork, tensors: dict[str, Tensor], tmp_path: Path
) -> None:
    path = tmp_path / "iter_80000.pth"
    meta = {"CLASSES": ("a", "b", "c"), "iter": 80000}
    torch.save({"state_dict": tensors, "meta": meta, "optimizer": {}}, path)
    with torch.no_grad():
        for value in target.parameters():
            value.zero_()
    load_openmmlab(target, path)
    assert equal(source, target)


def test_the_copy_is_a_copy(tensors: dict[str, Tensor]) -> None:
    network = pspnet_r18(3)
    copy = to_openmmlab(network)
    before = copy["decode_head.conv_seg.weight"].clone()
    with torch.no_grad():
        network.decode_head.classifier.conv_seg.weight.add_(1.0)
    assert torch.equal(copy["decode_head.conv_seg.weight"], before)


def test_auxiliary_head_left_out(source: SegNetwork, tensors: dict[str, Tensor]) -> None:
    network = pspnet_r18(3, auxiliary=False)
    load_openmmlab(network, tensors)
    assert equal(network, source)
    short = {key: value for key, value in tensors.items() if "auxiliary" not in key}
    # The classifier's two, the convolution's one, its normalisation's five.
    with pytest.raises(UserError, match=r"8 of 172 keys missing.*auxiliary_head.*auxiliary=False"):
        load_openmmlab(source, short)


def test_every_key_is_accounted_for(target: SegNetwork, tensors: dict[str, Tensor]) -> None:
    extra = tensors | {"decode_head.extra.weight": torch.zeros(2)}
    with pytest.raises(
        UserError, match=r"0 of 172 keys missing, 1 unknown, 0 of another shape \(d"
    ):
        load_openmmlab(target, extra)
    fewer = {key: value for key, value in tensors.items() if key != "backbone.stem.0.weight"}
    with pytest.raises(UserError, match=r"1 of 172 keys missing, 0 unknown.*backbone\.stem\.0\.w"):
        load_openmmlab(target, fewer)
    other = to_openmmlab(pspnet_r18(5))
    shapes = r"4 of another shape \(decode_head.conv_seg.weight: \[5, 128, 1, 1\] for \[3, "
    with pytest.raises(UserError, match=shapes):
        load_openmmlab(target, other)


def test_several_networks(target: SegNetwork, tensors: dict[str, Tensor]) -> None:
    state = {f"{name}.{key}": value for name in ("a", "b") for key, value in tensors.items()}
    with pytest.raises(UserError, match=r"several networks, under 'a\.', 'b\.'"):
        load_openmmlab(target, state)
    load_openmmlab(target, state, prefix="b.")


def test_no_network_at_all(target: SegNetwork) -> None:
    with pytest.raises(UserError, match=r"the state dict: holds no segmentation network"):
        load_openmmlab(target, {"fc.weight": torch.zeros(1)})


class History:
    """Stands for the objects that newer checkpoints hold beside their tensors."""


def test_objects_beside_the_tensors_do_not_matter(
    target: SegNetwork, source: SegNetwork, tensors: dict[str, Tensor], tmp_path: Path
) -> None:
    path = tmp_path / "pickled.pth"
    torch.save({"state_dict": tensors, "message_hub": History()}, path)
    load_openmmlab(target, path)
    assert equal(target, source)
