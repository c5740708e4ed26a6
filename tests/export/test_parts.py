"""The parts of an export: graphs for any size, bits, comparison, and what is left behind."""

from __future__ import annotations

import errno
import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import onnx
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bpkd.errors import UserError
from bpkd.export import precision
from bpkd.export.capture import captured
from bpkd.export.leaving import Leaving, check_output, pooled
from bpkd.export.run import Wish, _whole, calibration_images, export
from bpkd.export.verification import Verified, check, verify
from bpkd.export.writing import Job, exported
from bpkd.networks.base import SegOutput, resize
from bpkd.networks.files.reading import read_network
from bpkd.recipe.dotted import resolve
from bpkd.recipe.trust import trusted
from bpkd.support.formats import FORMATS, Format
from tests.commands import bpkd, refused
from tests.network_files import description, weights, write


@pytest.mark.parametrize("grid", [1, 2, 3, 6, (2, 5), (None, 4)])
@pytest.mark.parametrize("size", [(1, 1), (4, 9), (13, 7), (30, 45)])
def test_pooled_is_adaptive_average_pooling(size: tuple[int, int], grid: int) -> None:
    maps = torch.rand(2, 3, *size, dtype=torch.float64)
    torch.testing.assert_close(pooled(maps, grid), F.adaptive_avg_pool2d(maps, grid))


class Pooling(nn.Module):
    """Pooled to a grid and resized back, as PSPNet does."""

    def forward(self, images: Tensor) -> Tensor:
        return resize(F.adaptive_avg_pool2d(images, 3), images.shape[-2:])


class Flat(nn.Module):
    """A layer that wants one number of pixels."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 3, 1)
        self.dense = nn.Linear(3 * 8 * 8, 4)

    def forward(self, images: Tensor) -> Tensor:
        return self.dense(self.first(images).flatten(1))


@pytest.mark.parametrize("size", [(8, 8), (9, 7), (3, 3), (50, 31)])
def test_a_graph_for_any_size(size: tuple[int, int]) -> None:
    program = captured(Pooling().eval(), None).module()
    images = torch.rand(1, 3, *size)
    torch.testing.assert_close(program(images), Pooling()(images))


def test_the_layer_that_wants_one_size_is_named() -> None:
    with pytest.raises(UserError, match=r"any size do not pass dense \(Linear\).*--size HEIGHT"):
        captured(Flat().eval(), None)
    assert captured(Flat().eval(), (8, 8)).module()(torch.rand(1, 3, 8, 8)).shape == (1, 4)


class Colours(nn.Module):
    """What tests/network_files.py writes, in PyTorch."""

    def __init__(self, channels: int = 3) -> None:
        super().__init__()
        self.kernel = nn.Parameter(torch.from_numpy(weights(channels)))

    def forward(self, images: Tensor) -> SegOutput:
        return SegOutput(F.conv2d(images, self.kernel), {})


def test_verification_in_a_new_process(tmp_path: Path) -> None:
    network = Leaving(Colours(), description())
    images = [torch.rand(1, 3, 20, 30), torch.rand(1, 3, 9, 11)]
    same = verify(network, write(tmp_path / "a.onnx", said=description()), images, "images")
    assert same.difference < 1e-6 and same.changed == 0 and same.sizes == [(9, 11), (20, 30)]
    check(same, "fp32")
    other = write(tmp_path / "b.onnx", said=description(), scale=-1)
    differs = verify(network, other, images, "images")
    assert differs.changed > 0.9 and differs.difference > 1
    with pytest.raises(UserError, match=r"is not the same network, and is not kept: .*0\.1%"):
        check(differs, "fp32")
    with pytest.raises(UserError, match="says that it knows 2 classes"):
        verify(network, write(tmp_path / "c.onnx", said=description(2)), images, "images")


def test_an_exported_program_and_its_way_back(tmp_path: Path) -> None:
    network = Leaving(Colours(), description())
    file = tmp_path / "a.pt2"
    exported(Job(network, network.description), file)
    images = torch.rand(2, 3, 5, 7)
    with trusted():
        logits = read_network(file)(images).logits
    assert not logits.requires_grad
    torch.testing.assert_close(logits, network(images).detach())
    assert file.stat().st_size < 50_000, "the example that it was traced with went along"


def test_tolerances() -> None:
    found = Verified(1, "images", [(8, 8)], 0.01, 1.0, 0.02, 0.1)
    check(found, "int8")
    check(Verified(1, "images", [(8, 8)], 0.0, 0.0, 0.02, 0.1), "fp16", tolerance=0.02)
    with pytest.raises(UserError, match="at most 1% of pixels"):
        check(found, "fp16")
    with pytest.raises(UserError, match="--sensitivity, --keep"):
        check(found, "int8", tolerance=0.01)


def test_a_network_that_is_not_finite_is_told(tmp_path: Path) -> None:
    network = Colours()
    network.kernel.data.fill_(float("nan"))
    file = write(tmp_path / "a.onnx", said=description())
    with pytest.raises(UserError, match="there is nothing to export"):
        verify(Leaving(network, description()), file, [torch.rand(1, 3, 4, 4)], "images")


def test_labels_are_of_256_classes_at_most() -> None:
    many = description(3).model_copy(update={"classes": ["x"] * 257, "output": "labels"})
    with pytest.raises(UserError, match="labels are uint8, and there are 257 classes"):
        check_output(many)


# Bits ---------------------------------------------------------------------------------------------


@pytest.fixture
def model(tmp_path: Path) -> onnx.ModelProto:
    return onnx.load_model(str(write(tmp_path / "model.onnx")))


def test_fp16_keeps_its_images_in_float(model: onnx.ModelProto) -> None:
    half = precision.halved(model)
    assert half.graph.input[0].type.tensor_type.elem_type == onnx.TensorProto.FLOAT
    assert half.graph.initializer[0].data_type == onnx.TensorProto.FLOAT16


def test_int8(model: onnx.ModelProto) -> None:
    images = [torch.rand(1, 3, 8, 8) for _ in range(3)]
    operators = [node.op_type for node in precision.quantized(model, images).graph.node]
    assert "QuantizeLinear" in operators
    kept = precision.quantized(model, images, keep=["last"])
    assert [node.op_type for node in kept.graph.node] == ["Conv"]
    assert list(precision.layers(model)) == ["head"]
    with pytest.raises(UserError, match=r"--keep haed: no such layer; did you mean 'head'\?"):
        precision.quantized(model, images, keep=["haed"])
    with pytest.raises(UserError, match="needs calibration images, and there are none"):
        precision.quantized(model, [])


# What is left behind ------------------------------------------------------------------------------


def test_nothing_half_written(tmp_path: Path) -> None:
    target = tmp_path / "deep/student.onnx"
    with pytest.raises(UserError, match="No space left"), _whole(target) as file:
        file.write_text("half")
        raise OSError(errno.ENOSPC, "No space left on device")
    with pytest.raises(UserError, match="differs"), _whole(target) as file:
        file.write_text("whole, and wrong")
        raise UserError("it differs")
    assert list(target.parent.iterdir()) == []
    with _whole(target) as file:
        file.write_text("whole")
        file.with_suffix(".bin").write_text("its weights")
    assert {path.name for path in target.parent.iterdir()} == {"student.onnx", "student.bin"}


class Large(nn.Module):
    """A million weights."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Conv2d(3, 10_000, 6, padding=3)

    def forward(self, images: Tensor) -> SegOutput:
        return SegOutput(self.layer(images)[:, :3], {})


@contextmanager
def no_larger_files_than(limit: int) -> Iterator[None]:
    """As on a full disk, the system refuses what goes beyond."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


@pytest.mark.parametrize("kind", FORMATS, ids=[each.name for each in FORMATS])
def test_no_space_in_any_format(tmp_path: Path, kind: Format) -> None:
    """PyTorch's own writers end the whole process there."""
    if kind.extra:
        pytest.importorskip({"export": "onnx"}.get(kind.extra, kind.extra))
    known = description(3, size=(16, 24))
    job = Job(Leaving(Large(), known), known)
    target = tmp_path / f"large{kind.ending}"
    with (
        pytest.raises(UserError, match=r"cannot (be written|write)"),
        no_larger_files_than(100_000),
        _whole(target) as file,
    ):
        resolve(kind.writer)(job, file)
    assert list(tmp_path.iterdir()) == []


def test_an_empty_training_split_cannot_calibrate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bpkd.export.run.build_data", lambda *_: [])
    source = SimpleNamespace(recipe=None, path=tmp_path)
    with pytest.raises(UserError, match=r"the training split of .* is empty; give the data"):
        calibration_images(source, Wish(precision="int8"))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--format", "onx"], "format 'onx': did you mean 'onnx'?"),
        (["--format", "torchscript", "--precision", "fp16"], "expected fp32"),
        (["--size", "64", "64", "--dynamic"], "a file takes one size, or any"),
        (["--size", "0", "64"], "expected sides of at least 1 pixel"),
        (["--keep", "last"], "--keep is for --precision int8"),
    ],
)
def test_wishes_that_cannot_be(arguments: list[str], line: str) -> None:
    assert line in refused("export", "nowhere", *arguments)


def test_the_page_and_the_help_know_every_format() -> None:
    page = (Path(__file__).parents[2] / "docs/export.md").read_text()
    said = bpkd("export", "--help")[1]
    for each in FORMATS:
        assert f"`{each.name}`" in page and f"`{each.ending}`" in page and each.name in said


def test_a_file_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no run here"):
        export(tmp_path, Wish())
