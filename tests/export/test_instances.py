"""A network that finds objects out of the lab and back: raw outputs, assembled masks, the proof."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from bpkd import load
from bpkd.errors import UserError
from bpkd.export.instances import (
    LeavingInstances,
    check_instances,
    masks_of,
    verify_instances,
)
from bpkd.networks import SOLOv2
from bpkd.networks.base import InstanceOutput
from bpkd.networks.files.instances import OUTPUTS, InstanceFile
from bpkd.networks.solov2.predictions import cell_masks
from tests.commands import done, refused
from tests.instance_runs import TINY
from tests.network_files import description
from tests.runs import run

KNOWN = description(3, task="instance", output="instances", grids=[6, 5, 4, 3, 2])


@pytest.fixture
def network() -> SOLOv2:
    torch.manual_seed(0)
    return SOLOv2(
        3, "test_resnet.r160_in1k", channels=32, stacked_convs=1, kernel_channels=32,
        mask_channels=32, pyramid_channels=32, num_grids=KNOWN.grids,
    ).eval()  # fmt: skip


class Program:
    """What stands for a file: the network itself."""

    size = channels = None
    metadata: dict[str, str] = {}

    def __init__(self, network: LeavingInstances) -> None:
        self.network = network

    def every(self, images: torch.Tensor) -> dict[str, torch.Tensor]:
        with torch.no_grad():
            return dict(zip(OUTPUTS, self.network(images), strict=True))


def test_a_file_gives_back_what_the_network_gave(network: SOLOv2, tmp_path: Path) -> None:
    leaving = LeavingInstances(network, KNOWN)
    file = InstanceFile(str(tmp_path / "a.onnx"), Program(leaving), KNOWN)
    images = torch.rand(2, 3, 40, 64)
    with torch.no_grad():
        wanted: InstanceOutput = network(images)
    found = file(images)
    for ours, theirs in zip((*found.category, *found.kernels), (*wanted.category, *wanted.kernels)):  # noqa: B905
        torch.testing.assert_close(ours, theirs)
    torch.testing.assert_close(found.mask_features, wanted.mask_features)
    outputs = file.every(images)
    masks = cell_masks(wanted, 1, outputs["cells"][1])
    torch.testing.assert_close(outputs["masks"][1], masks)
    likeliest = torch.cat([level[1].amax(0).flatten() for level in wanted.category]).argmax()
    assert outputs["cells"][1, 0] == likeliest


def test_what_it_says_and_gives_must_agree(network: SOLOv2, tmp_path: Path) -> None:
    leaving, path = LeavingInstances(network, KNOWN), str(tmp_path / "a.onnx")
    images = torch.rand(1, 3, 64, 64)
    with pytest.raises(UserError, match="gives 3, and says that it knows 2 classes"):
        said = description(2, task="instance", output="instances", grids=KNOWN.grids)
        InstanceFile(path, Program(leaving), said)(images)
    with pytest.raises(UserError, match="gives 90 cells, and says that it has 16"):
        InstanceFile(path, Program(leaving), KNOWN.model_copy(update={"grids": [4]}))(images)
    with pytest.raises(UserError, match="does not say its grids"):
        InstanceFile(path, Program(leaving), KNOWN.model_copy(update={"grids": []}))
    with torch.no_grad():
        network.mask_head.conv_cls.bias.fill_(float("nan"))
    with pytest.raises(UserError, match="not finite"):
        InstanceFile(path, Program(leaving), KNOWN)(images)


@pytest.mark.parametrize(
    ("kind", "changes", "line"),
    [
        ("openvino", {}, "leaves as onnx alone"),
        ("onnx", {"precision": "int8"}, "leaves as fp32 alone"),
        ("onnx", {"at": "network"}, "--at is for label maps"),
    ],
)
def test_what_cannot_be(kind: str, changes: dict[str, str], line: str) -> None:
    with pytest.raises(UserError, match=line):
        check_instances(KNOWN.model_copy(update=changes), kind)


def test_masks_of_each_image_by_its_own_cells() -> None:
    kernels = torch.tensor([[[1.0, -1.0]], [[2.0, 3.0]]])
    masks = masks_of(kernels, torch.ones(2, 1, 1, 1), torch.tensor([[1], [0]]))
    torch.testing.assert_close(masks.flatten(), torch.tensor([-1.0, 2.0]).sigmoid())


@pytest.mark.slow
def test_out_and_back(tmp_path: Path) -> None:
    recipe = tmp_path / "tiny.yaml"
    recipe.write_text(TINY)
    folder = run(recipe, "objects", "max_iters=0")
    file = tmp_path / "objects.onnx"
    said = done("export", folder, "--out", file)
    assert "largest difference" in said and "matrix NMS" in said
    for source in (folder, file):
        done("evaluate", source, "--split", "val")
    kept = (folder / "evaluation_val.json", Path(f"{file}.evaluation_val.json"))
    ours, theirs = (json.loads(each.read_text())["scores"] for each in kept)
    assert theirs["AP"] == pytest.approx(ours["AP"], abs=1e-3)
    assert theirs["parameters"] == ours["parameters"]
    network = load(file)
    images = torch.rand(1, 3, 50, 70)
    with torch.no_grad():
        wanted = load(folder)(images)
    torch.testing.assert_close(
        network(images).mask_features, wanted.mask_features, atol=1e-3, rtol=1e-3
    )
    # The proof fails where it should: another network's file.
    other = SOLOv2(
        10, "test_efficientnet.r160_in1k", channels=32, stacked_convs=1, kernel_channels=32,
        mask_channels=32, pyramid_channels=32, num_grids=[8, 7, 5, 4, 3],
    )  # fmt: skip
    known = network.description
    if other.num_classes == len(known.classes):
        differs = verify_instances(LeavingInstances(other, known), file, [images], "images")
        assert differs.difference > 1e-3 * differs.spread
    assert "--argmax is for label maps" in refused("export", folder, "--argmax", "--out", file)
