"""quantize: true: the student is trained as int8 sees it, and stays a run like any other."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from torch import nn

from bpkd import load
from bpkd.errors import UserError
from bpkd.networks.fake_quantization import fake_quantized, is_fake_quantized, unquantized
from bpkd.runs.loading import from_run
from bpkd.support.tensors import read_tensors
from tests.commands import done, refused
from tests.runs import TINY, killed, rows, run


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    file = tmp_path / "tiny.yaml"
    file.write_text(TINY)
    return file


def test_weights_and_images_of_a_layer_are_in_8_bits() -> None:
    layer = fake_quantized(nn.Conv2d(3, 4, 3))
    assert len(layer.weight[0].unique()) <= 255
    images = torch.rand(2, 3, 9, 9) * 4 - 1
    seen = layer.input_ranges(images)
    assert len(seen.unique()) <= 256 and (seen - images).abs().max() < 4 / 255
    layer.eval()
    torch.testing.assert_close(layer.input_ranges(10 * images).amax(), seen.amax())
    torch.testing.assert_close(unquantized(layer)(seen), layer(seen), atol=0.05, rtol=0)


def test_scales_by_channel_commute_with_folding() -> None:
    """Batch norm multiplies channels: rounded before or after, the weights are the same."""
    layer, factor = nn.Conv2d(2, 3, 3, bias=False), torch.tensor([0.1, 7.0, -2.0]).view(3, 1, 1, 1)
    folded = nn.Conv2d(2, 3, 3, bias=False)
    folded.weight.data = layer.weight.data * factor
    ours, theirs = fake_quantized(layer).weight * factor, fake_quantized(folded).weight
    torch.testing.assert_close(ours, theirs)


def test_nothing_to_quantize() -> None:
    with pytest.raises(UserError, match="no convolution and no linear layer"):
        fake_quantized(nn.ReLU())
    with pytest.raises(UserError, match="computes the weights of its layer"):
        fake_quantized(nn.utils.parametrizations.weight_norm(nn.Linear(2, 2)))


@pytest.mark.parametrize(
    ("override", "line"),
    [("max_iters=0", "needs training"), ("compile=true", "cannot be had together")],
)
def test_what_cannot_be(recipe: Path, override: str, line: str) -> None:
    assert line in refused("train", recipe, "quantize=true", override, f"run={recipe.parent / 'a'}")


def test_a_run_cut_off_goes_on_to_the_same_student(recipe: Path) -> None:
    whole = run(recipe, "whole", "quantize=true")
    with killed(4):
        run(recipe, "cut", "quantize=true", "checkpoint_every=2")
    cut = run(recipe, "cut", "quantize=true", "checkpoint_every=2", resume=True)
    ours, theirs = (read_tensors(folder / "student.safetensors") for folder in (whole, cut))
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    with pytest.raises(UserError, match="began with quantize: True"):
        run(recipe, "whole", resume=True)


def test_what_is_measured_is_what_was_trained(recipe: Path) -> None:
    """The fine-tuned student of a teacher; its validation; its int8 file; its weights alone."""
    plain = run(recipe, "plain")
    start = f"student.checkpoint={plain / 'student.safetensors'}"
    kd = "losses={kd: {use: bpkd.losses.kd.KD}}"
    folder = run(recipe, "int8", "quantize=true", start, f"teacher={plain}", kd)
    network = load(folder)
    assert is_fake_quantized(network) and is_fake_quantized(from_run(str(folder)))
    assert not any("auxiliary" in name for name in network.state_dict() if "input_ranges" in name)
    done("evaluate", folder, "--split", "val")
    kept = json.loads((folder / "evaluation_val.json").read_text())["scores"]
    last = rows(folder / "metrics.csv")[-1]
    assert kept["mIoU"] == pytest.approx(float(last["mIoU"]), abs=1e-6)
    assert kept["parameters"] == sum(
        p.numel() for n, p in load(plain).named_parameters() if "auxiliary" not in n
    )
    # A student in float begins with its weights, and another in int8 goes on from them.
    for more in ("quantize=false", "quantize=true"):
        again = f"student.checkpoint={folder / 'student.safetensors'}"
        run(recipe, f"next-{more}", more, again, "max_iters=1")


@pytest.mark.slow
def test_it_leaves_as_int8(recipe: Path) -> None:
    folder = run(recipe, "student", "quantize=true")
    for precision in ("int8", "fp32"):
        file = folder.parent / f"{precision}.onnx"
        more = ["--tolerance", 1, "--calibrate", 4] if precision == "int8" else []
        assert "the same network" in done(
            "export", folder, "--precision", precision, "--out", file, *more
        )
        images = torch.rand(1, 3, 32, 48)
        wanted = load(folder) if precision == "int8" else unquantized(load(folder))
        with torch.no_grad():
            logits = nn.functional.interpolate(wanted(images).logits, (32, 48), mode="bilinear")
        found = load(file)(images).logits
        limit = 0.1 if precision == "int8" else 1e-3
        assert (found - logits).abs().max() < limit * (logits.max() - logits.min())
