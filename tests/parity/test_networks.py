"""The paper's eight networks against logits computed with MMSegmentation 1.2.2 in float64.

The references hold no weights: each tensor follows from its own name by a rule, so the weights
are made here under OpenMMLab's names and shapes and loaded like any checkpoint of theirs.
"""

from __future__ import annotations

import json
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from bpkd import networks
from bpkd.inference.windows import slide
from bpkd.networks import SegNetwork
from bpkd.networks.checkpoints import load_openmmlab, openmmlab_keys, to_openmmlab

DATA = Path(__file__).parent / "data" / "networks"
SMALL = ["pspnet_r18", "hrnet_w18s", "deeplabv3plus_mv2", "isanet_r18"]
BIG = ["pspnet_r101", "hrnet_w48", "deeplabv3plus_r101", "isanet_r101"]
ALL = [*SMALL, *BIG]
SMALL_AND_SLOW_BIG = [*SMALL, *(pytest.param(name, marks=pytest.mark.slow) for name in BIG)]


def reference_shapes(name: str, num_classes: int) -> dict[str, list[int]]:
    """OpenMMLab's state-dict keys and shapes, in order; the files are for 19 classes."""
    pairs = json.loads((DATA / f"{name}.keys.json").read_text())
    return {
        key: [num_classes, *shape[1:]] if ".conv_seg." in key else shape for key, shape in pairs
    }


def rule(key: str, shape: list[int]) -> Tensor:
    """The tensor that the references have under this key."""
    stream = np.random.default_rng(zlib.crc32(key.encode()))
    if len(shape) >= 2:
        value = stream.standard_normal(shape) * np.sqrt(1 / np.prod(shape[1:]))
    elif key.endswith(("running_var", "weight")):
        value = stream.uniform(0.5, 1.5, shape)
    elif key.endswith(("running_mean", "bias")):
        value = stream.standard_normal(shape) * 0.1
    else:
        return torch.zeros(shape, dtype=torch.int64)
    return torch.from_numpy(value)


def empty(name: str, num_classes: int) -> SegNetwork:
    """The network in float64, in evaluation mode, its memory not yet filled."""
    with torch.device("meta"):
        network = getattr(networks, name)(num_classes)
    return network.double().to_empty(device="cpu").eval()


def filled(name: str, num_classes: int) -> tuple[SegNetwork, dict[str, Tensor]]:
    state = {k: rule(k, shape) for k, shape in reference_shapes(name, num_classes).items()}
    network = empty(name, num_classes)
    load_openmmlab(network, state)
    network.mean.zero_()
    network.std.fill_(1.0)
    # The outermost module alone: the auxiliary head answers, and normalisation and dropout stay.
    network.training = True
    return network, state


def error(ours: Tensor, theirs: np.ndarray) -> float:
    reference = torch.from_numpy(theirs).double()
    assert ours.shape == reference.shape
    return float((ours - reference).abs().max() / reference.abs().max())


def test_rule_is_the_references() -> None:
    first = rule("decode_head.conv_seg.weight", [19, 128, 1, 1]).flatten()[:3]
    torch.testing.assert_close(
        first, torch.tensor([0.02552001, 0.01575705, -0.00046553]).double(), atol=1e-8, rtol=0
    )


@pytest.mark.parametrize("case", [0, 1])
@pytest.mark.parametrize("name", SMALL_AND_SLOW_BIG)
def test_logits(name: str, case: int) -> None:
    arrays = np.load(DATA / f"{name}.npz")
    reference = {k[6:]: arrays[k] for k in arrays.files if k.startswith(f"case{case}_")}
    num_classes, seed, height, width = (int(value) for value in reference["meta"])
    network, state = filled(name, num_classes)
    total, magnitude = reference["weights_sum_abssum"]
    assert abs(sum(float(v.sum()) for v in state.values()) - total) <= 1e-9 * magnitude
    images = np.random.default_rng(seed).standard_normal((1, 3, height, width))
    with torch.no_grad():
        output = network(torch.from_numpy(images))
    assert error(output.logits, reference["decode"]) < 1e-6
    if "aux" in reference:
        assert output.auxiliary is not None
        assert error(output.auxiliary, reference["aux"]) < 1e-6
    else:
        assert output.auxiliary is None


def test_sliding_window() -> None:
    arrays = np.load(DATA / "pspnet_r18_slide.npz")
    num_classes, seed, height, width = (int(value) for value in arrays["meta"])
    window, stride = (tuple(int(side) for side in arrays[key]) for key in ("crop_size", "stride"))
    network, _ = filled("pspnet_r18", num_classes)
    images = np.random.default_rng(seed).standard_normal((1, 3, height, width))
    with torch.no_grad():
        logits = slide(network, torch.from_numpy(images), window, stride)
    assert error(logits, arrays["logits"]) < 1e-6


@pytest.mark.parametrize("name", ALL)
def test_names_and_shapes(name: str) -> None:
    with torch.device("meta"):
        network = getattr(networks, name)(19)
    names = openmmlab_keys(network)
    shapes = {names[key]: list(value.shape) for key, value in network.state_dict().items()}
    assert shapes == reference_shapes(name, 19)


@pytest.mark.parametrize("name", SMALL_AND_SLOW_BIG)
def test_round_trip_is_exact(name: str) -> None:
    torch.manual_seed(0)
    first, second = getattr(networks, name)(7), getattr(networks, name)(7)
    tensors = to_openmmlab(first)
    load_openmmlab(second, tensors)
    mine, other = first.state_dict(), second.state_dict()
    assert list(mine) == list(other)
    for key, value in mine.items():
        assert torch.equal(value, other[key]), key
    again = to_openmmlab(second)
    assert set(again) == set(reference_shapes(name, 7))
    for key, value in tensors.items():
        assert torch.equal(value, again[key]), key
