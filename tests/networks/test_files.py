"""Networks that are files: what they say of themselves, what they give, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from bpkd import load
from bpkd.errors import UserError
from bpkd.inference.windows import predict
from bpkd.networks.class_map import ClassMapped
from bpkd.networks.files.counting import multiply_adds
from bpkd.networks.files.described import beside
from bpkd.networks.files.network import FileNetwork
from bpkd.networks.files.reading import read_network
from bpkd.networks.foreign import from_file
from tests.network_files import description, page, weights, write


@pytest.fixture
def images() -> Tensor:
    return torch.rand(2, 3, 5, 7, generator=torch.Generator().manual_seed(0))


def logits_by_hand(images: Tensor, channels: int = 3) -> Tensor:
    return torch.einsum("nchw,kc->nkhw", images, torch.from_numpy(weights(channels)[..., 0, 0]))


def test_a_file_is_loaded_as_a_run_is(tmp_path: Path, images: Tensor) -> None:
    network = load(write(tmp_path / "a.onnx", said=description()))
    assert isinstance(network, FileNetwork)
    assert (network.classes, network.palette[1]) == (["a", "b", "c"], (20, 0, 235))
    torch.testing.assert_close(network(images).logits, logits_by_hand(images))
    assert not network.train().training


def test_labels_come_as_logits_of_one_and_zero(tmp_path: Path, images: Tensor) -> None:
    said = description(output="labels")
    network = read_network(write(tmp_path / "a.onnx", said=said, labels=True))
    logits = network(images).logits
    assert logits.shape == (2, 3, 5, 7) and set(logits.unique().tolist()) == {0.0, 1.0}
    assert torch.equal(logits.argmax(dim=1), logits_by_hand(images).argmax(dim=1))


def test_a_file_from_elsewhere_is_described_beside_it(tmp_path: Path, images: Tensor) -> None:
    file = write(tmp_path / "a.onnx")
    with pytest.raises(UserError, match=r"does not say which classes .*a\.onnx\.yaml"):
        read_network(file)
    beside(file).write_text("classes: [a, b, c]\npalette: [[0, 0, 0], [1, 1, 1], [2, 2, 2]]\n")
    assert read_network(file)(images).logits.shape == (2, 3, 5, 7)


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"classes": ["a", "b", "x"]}, "its own classes are not those of"),
        ({"palette": [[9, 9, 9]] * 3}, "its own palette are not those of"),
    ],
)
def test_a_page_that_contradicts_is_refused(
    tmp_path: Path, changes: dict[str, Any], line: str
) -> None:
    file = write(tmp_path / "a.onnx", said=description())
    page(file, description(), **changes)
    with pytest.raises(UserError, match=line):
        read_network(file)


def test_a_file_that_lies_about_its_classes_is_refused(tmp_path: Path, images: Tensor) -> None:
    with pytest.raises(UserError, match="gives 5, and says that it knows 3 classes"):
        read_network(write(tmp_path / "a.onnx", channels=5, said=description(3)))
    said = description(2, output="labels")
    labels = read_network(write(tmp_path / "b.onnx", channels=3, said=said, labels=True))
    blue = torch.zeros_like(images)
    blue[:, 2] = 1
    with pytest.raises(UserError, match="gives the label 2, and says that it knows 2"):
        labels(blue)


@pytest.mark.parametrize(
    ("task", "line"), [("panoptic", "is for panoptic segmentation"), ("instance", "its grids")]
)
def test_another_task_is_refused(tmp_path: Path, task: str, line: str) -> None:
    with pytest.raises(UserError, match=line):
        read_network(write(tmp_path / "a.onnx", said=description(task=task)))


def broken(kind: str, file: Path) -> Path:
    """A file that something is wrong with."""
    said = description()
    if kind == "no ONNX":
        file.write_text("hello")
    elif kind == "truncated":
        whole = write(file, said=said).read_bytes()
        file.write_bytes(whole[: len(whole) // 2])
    elif kind == "opset":
        write(file, said=said, opset=99)
    elif kind == "two outputs":
        write(file, said=said, outputs=2)
    elif kind == "channels":
        write(file, said=said, input_channels=1)
    elif kind == "damaged page":
        beside(write(file, said=said)).write_text("- a\n: b")
    return file


@pytest.mark.parametrize(
    ("kind", "line"),
    [
        ("missing", "no such file; bpkd export RUN --format onnx writes one"),
        ("no ONNX", "is no ONNX file, or not a whole one"),
        ("truncated", "is no ONNX file, or not a whole one"),
        ("opset", "opset"),
        ("two outputs", r"has 2 outputs \(logits, more\), expected one"),
        ("channels", "expected images float32 N x 3 x H x W"),
        ("damaged page", "is damaged"),
    ],
)
def test_bad_files_get_one_line(tmp_path: Path, kind: str, line: str) -> None:
    with pytest.raises(UserError, match=line) as refused:
        read_network(broken(kind, tmp_path / "a.onnx"))
    assert "\n" not in str(refused.value)


def test_weights_that_are_not_finite_are_told(tmp_path: Path, images: Tensor) -> None:
    network = read_network(write(tmp_path / "a.onnx", said=description(), scale=float("nan")))
    with pytest.raises(UserError, match="not finite: its weights are damaged"):
        network(images)


def test_a_file_of_one_size_goes_over_larger_images(tmp_path: Path, images: Tensor) -> None:
    network = read_network(write(tmp_path / "a.onnx", said=description(), size=(4, 6)))
    assert network.only_size == (4, 6)
    wanted = logits_by_hand(images).argmax(dim=1)
    assert torch.equal(predict(network, images), wanted)
    assert torch.equal(predict(network, images[..., :3, :2]), wanted[..., :3, :2])
    swapped = ClassMapped(network, [[1], [0], [2]])
    assert torch.equal(predict(swapped, images) == 0, wanted == 1)
    with pytest.raises(UserError, match="takes images of 4 x 6 alone"):
        network(images)


def test_as_a_teacher(tmp_path: Path, images: Tensor) -> None:
    own = from_file(None, str(write(tmp_path / "own.onnx", said=description())))
    assert own.classes == ["a", "b", "c"] and own.teacher_only
    torch.testing.assert_close(own(images).logits, logits_by_hand(images))  # nothing normalised
    strange = from_file(3, str(write(tmp_path / "strange.onnx")), mean=(0.5,) * 3, std=(2,) * 3)
    torch.testing.assert_close(strange(images).logits, logits_by_hand((images - 0.5) / 2))
    labels = write(tmp_path / "l.onnx", said=description(output="labels"), labels=True)
    with pytest.raises(UserError, match="a teacher needs logits"):
        from_file(3, str(labels))


def test_multiply_adds_of_a_file(tmp_path: Path) -> None:
    assert multiply_adds(str(write(tmp_path / "a.onnx", channels=5)), (4, 6)) == 5 * 3 * 24


def test_threads_do_not_change_what_a_file_gives(tmp_path: Path, images: Tensor) -> None:
    file = write(tmp_path / "a.onnx", said=description())
    one, all_of_them = (read_network(file, threads)(images).logits for threads in (1, None))
    assert np.array_equal(one.numpy(), all_of_them.numpy())
