"""What the tests against MMDetection's SOLOv2 share: weights by rule, inputs by seed, the files."""

from __future__ import annotations

import json
import re
import zlib
from functools import cache
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bpkd.datasets.instances import Instances
from bpkd.networks import solov2
from bpkd.networks.base import InstanceOutput
from bpkd.networks.checkpoints import load_openmmlab
from bpkd.networks.solov2 import SOLOv2

DATA = Path(__file__).parent / "data" / "solov2"
GRIDS = (40, 36, 24, 16, 12)
NETWORKS = {"light_r18": solov2.solov2_light_r18, "x101_dcn": solov2.solov2_x101_dcn}


def arrays(name: str) -> dict[str, Any]:
    with np.load(DATA / f"{name}.npz", allow_pickle=False) as file:
        return dict(file)


def bits(file: dict[str, Any], key: str, shape: tuple[int, ...] | None = None) -> Tensor:
    """A bit array as booleans."""
    shape = tuple(file[f"{key}_shape"]) if shape is None else shape
    return torch.from_numpy(np.unpackbits(file[key])[: prod(shape)].reshape(shape).astype(bool))


def reference(tag: str) -> dict[str, Any]:
    return json.loads((DATA / "keys.json").read_text())[tag]


def weight(key: str, shape: list[int], rules: list[dict[str, Any]]) -> Tensor:
    """The tensor that the references have under this key."""
    rng = np.random.default_rng(zlib.crc32(key.encode()))
    leaf = key.rsplit(".", 1)[1]
    if leaf == "num_batches_tracked":
        return torch.zeros(shape, dtype=torch.int64)
    if len(shape) >= 2:
        a = rng.standard_normal(shape) * np.sqrt(2 / np.prod(shape[1:]))
        a = a - a.mean(axis=tuple(range(1, len(shape))), keepdims=True)
    elif leaf in ("running_var", "weight"):
        a = rng.uniform(0.5, 1.5, shape)
    else:
        a = rng.standard_normal(shape) * 0.1
    for each in rules:
        if re.search(each["regex"], key):
            a = a * each["mul"] + each["add"]
    return torch.from_numpy(a.astype(np.float32))


@cache
def state(tag: str) -> dict[str, Tensor]:
    facts = reference(tag)
    return {k: weight(k, v, facts["weight_rules"]) for k, v in facts["state_dict"].items()}


def filled(tag: str, dtype: torch.dtype = torch.float64) -> SOLOv2:
    """The network with the references' weights, for inputs that are normalised already."""
    with torch.device("meta"):
        network = NETWORKS[tag](80)
    network = network.to_empty(device="cpu")
    load_openmmlab(network, state(tag))
    network.mean.zero_()
    network.std.fill_(1)
    return network.to(dtype).eval()


def seeded_output(
    seed: list[int], n: int, channels: int, size: tuple[int, int], mul: float, add: float
) -> InstanceOutput:
    """The references' made-up head outputs, in float64 from float32."""
    rng = np.random.default_rng(seed)
    h, w = size

    def wide(values: Any) -> Tensor:
        return torch.from_numpy(values.astype(np.float32)).double()

    kernels = [wide(rng.standard_normal((n, channels, s, s)) * 0.25) for s in GRIDS]
    category = [wide(rng.standard_normal((n, 80, s, s)) * mul + add) for s in GRIDS]
    fy, fx = (rng.uniform(0, 3, (n, channels, 1, 1)) for _ in range(2))
    phase = rng.uniform(0, 2 * np.pi, (n, channels, 1, 1))
    y, x = np.arange(h).reshape(1, 1, h, 1), np.arange(w).reshape(1, 1, 1, w)
    waves = np.cos(2 * np.pi * (fy * y / h + fx * x / w) + phase)
    return InstanceOutput(category, kernels, wide(np.maximum(waves, 0)), {})


def annotated(file: dict[str, Any], start: str = "") -> Instances:
    """The instances that a file describes."""
    labels = torch.from_numpy(file[f"{start}gt_labels"])
    boxes = torch.from_numpy(file[f"{start}gt_bboxes"])
    crowd = torch.zeros(len(labels), dtype=torch.bool)
    return Instances(bits(file, f"{start}gt_masks"), labels, boxes, crowd)
