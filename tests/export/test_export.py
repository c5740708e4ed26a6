"""A run out of the lab and back: every format and precision, proven, and measured as a run is."""

from __future__ import annotations

import json
from pathlib import Path

import onnx
import pytest
import torch
import yaml

from bpkd import load
from bpkd.recipe.trust import trusted
from bpkd.support.formats import FORMATS
from tests.commands import done, refused
from tests.runs import TINY, run

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def student(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with random weights, and an auxiliary head."""
    recipe = tmp_path_factory.mktemp("out") / "tiny.yaml"
    recipe.write_text(TINY)
    return run(recipe, "student", "max_iters=0")


@pytest.fixture(scope="module")
def exported(student: Path) -> Path:
    """As ONNX, for images of any size."""
    file = student.parent / "student.onnx"
    said = done("export", student, "--out", file)
    assert "largest difference" in said and "0% of pixels changed" in said
    return file


def test_what_a_stranger_finds(student: Path, exported: Path) -> None:
    model = onnx.load_model(str(exported))
    kinds = {node.op_type for node in model.graph.node}
    assert "Conv" in kinds and "BatchNormalization" not in kinds
    names = [weight.name for weight in model.graph.initializer]
    assert not any("auxiliary" in name for name in names)
    sides = [dim.dim_param for dim in model.graph.input[0].type.tensor_type.shape.dim]
    assert sides == ["batch", "", "height", "width"]
    said = {each.key: json.loads(each.value) for each in model.metadata_props}
    assert len(said["classes"]) == len(said["palette"]) == 10
    assert said["size"] is None and len(said["fingerprint"]) == 16
    page = yaml.safe_load(Path(f"{exported}.yaml").read_text())
    assert page["classes"] == said["classes"] and len(page["verified"]["sizes"]) == 2
    assert b"site-packages" not in exported.read_bytes(), "paths of this machine"


def test_it_measures_as_the_run_does(student: Path, exported: Path) -> None:
    done("evaluate", student, "--split", "val")
    done("evaluate", exported, "--split", "val")
    kept = [student / "evaluation_val.json", Path(f"{exported}.evaluation_val.json")]
    ours, files = (json.loads(file.read_text())["scores"] for file in kept)
    assert ours["parameters"] == files["parameters"]
    for key in ("mIoU", "trimap_mIoU@1", "boundary_mIoU"):
        assert files[key] == pytest.approx(ours[key], abs=1e-3)


@pytest.mark.parametrize(
    ("kind", "precision"),
    [(f.name, p) for f in FORMATS for p in f.precisions if (f.name, p) != ("onnx", "fp32")],
)
def test_formats_and_precisions(student: Path, kind: str, precision: str) -> None:
    ending = next(each.ending for each in FORMATS if each.name == kind)
    file = student.parent / f"{precision}{ending}"
    # Random weights lie everywhere between two classes: their labels are no measure of int8.
    more = ["--tolerance", 1, "--calibrate", 2] if precision == "int8" else []
    done("export", student, "--format", kind, "--precision", precision, "--out", file, *more)
    images = torch.rand(2, 3, 40, 56)
    with trusted():
        network, wanted = load(file), load(student)
    logits = network(images).logits
    assert logits.shape == (2, 10, 40, 56)
    with torch.no_grad():
        whole = wanted(images).logits
    small = torch.nn.functional.interpolate(logits, whole.shape[-2:], mode="area")
    assert torch.corrcoef(torch.stack([small.flatten(), whole.flatten()]))[0, 1] > 0.8


def test_labels_of_one_size(student: Path) -> None:
    file = student.parent / "labels.onnx"
    done("export", student, "--argmax", "--size", 33, 47, "--out", file)
    assert load(file).only_size == (33, 47)
    done("evaluate", file, "--split", "val")


def test_sensitivity(student: Path) -> None:
    said = done("export", student, "--sensitivity", 2, "--calibrate", 2)
    assert "all layers" in said and "decode_head.classifier.conv_seg" in said


def test_what_differs_is_not_kept(student: Path) -> None:
    file = student.parent / "exact.int8.onnx"
    more = ["--precision", "int8", "--calibrate", 1, "--tolerance", 0, "--out", file]
    assert "is not the same network, and is not kept" in refused("export", student, *more)
    assert not list(student.parent.glob("*exact*")) and not list(student.parent.glob(".*exact*"))
