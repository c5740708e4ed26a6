"""Weights are data, never programs."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from torch import Tensor, nn

from bpkd.errors import UserError
from bpkd.support.tensors import key_mismatch, load_tensors, read_tensors, write_tensors


def message(path: Path, network: nn.Module | None = None) -> str:
    with pytest.raises(UserError) as caught:
        read_tensors(path) if network is None else load_tensors(network, path)
    text = str(caught.value)
    assert "\n" not in text
    assert str(path) in text
    return text


def test_what_is_written_is_read(tmp_path: Path) -> None:
    network, other = nn.Conv2d(2, 3, 1), nn.Conv2d(2, 3, 1)
    network.to(memory_format=torch.channels_last)
    write_tensors(network, tmp_path / "a.safetensors")
    load_tensors(other, tmp_path / "a.safetensors")
    assert torch.equal(other.weight, network.weight)
    assert torch.equal(other.bias, network.bias)  # type: ignore[arg-type]


@pytest.mark.parametrize("key", [None, "state_dict", "model"])
def test_pytorch_files(tmp_path: Path, key: str | None) -> None:
    tensors = {"a": torch.arange(3), "b": torch.ones(2)}
    torch.save({key: tensors, "epoch": 3} if key else tensors, tmp_path / "a.pth")
    found = read_tensors(tmp_path / "a.pth")
    assert found.keys() == tensors.keys()
    assert torch.equal(found["a"], tensors["a"])


class Program:
    """What a pickle may do when it is read."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, (str(self.mark),)


def test_a_pickled_program_is_read_past(tmp_path: Path) -> None:
    file, mark = tmp_path / "a.pth", tmp_path / "ran"
    for old in (False, True):
        content = {"hook": Program(mark), "state_dict": {"a": torch.ones(1)}}
        torch.save(content, file, _use_new_zipfile_serialization=not old)
        assert read_tensors(file)["a"].tolist() == [1]
        torch.save(Program(mark), file, _use_new_zipfile_serialization=not old)
        assert "holds no tensors by name" in message(file)
    assert not mark.exists()


def test_a_whole_module_gives_its_tensors(tmp_path: Path) -> None:
    network = nn.Sequential(nn.Conv2d(1, 2, 1), nn.BatchNorm2d(2))
    torch.save({"model": network}, tmp_path / "a.pth")
    found = read_tensors(tmp_path / "a.pth")
    assert found.keys() == network.state_dict().keys()
    assert all(torch.equal(found[key], value) for key, value in network.state_dict().items())


def test_averaged_weights_are_named_and_chosen(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "a.pth"
    torch.save({"state_dict_ema": {"a": torch.ones(1)}, "net": {"a": torch.zeros(1)}}, file)
    assert read_tensors(file)["a"] == 0
    assert "checkpoint_key: state_dict_ema" in capsys.readouterr().err
    assert read_tensors(file, "state_dict_ema")["a"] == 1
    with pytest.raises(UserError, match="no tensors under"):
        read_tensors(file, "ema")


@pytest.mark.parametrize(
    ("tensors", "text"),
    [
        ({"weight": torch.ones(2, 3).to_sparse(), "bias": torch.ones(2)}, "weight is sparse"),
        ({"weight": torch.ones(2, 3, device="meta"), "bias": torch.ones(2)}, "without values"),
        ({0: torch.ones(2)}, "holds no tensors by name"),
        ({"weight": torch.ones(2, 3).long(), "bias": torch.ones(2)}, "weight: int64 for float32"),
        ({"weight": torch.ones(2, 3).bool(), "bias": torch.ones(2)}, "weight: bool for float32"),
        ({"weight": torch.ones(2, 3) + 0j, "bias": torch.ones(2)}, "complex64 for float32"),
        ({"weight": torch.full((2, 3), float("nan")), "bias": torch.ones(2)}, "are not finite"),
        ({"weight": torch.ones(2, 3), "bias": torch.full((2,), float("inf"))}, "are not finite"),
    ],
)
def test_tensors_of_another_kind(tmp_path: Path, tensors: Any, text: str) -> None:
    torch.save(tensors, tmp_path / "a.pth")
    network = nn.Linear(3, 2)
    before = network.weight.clone()
    assert text in message(tmp_path / "a.pth", network)
    assert torch.equal(network.weight, before)


def test_counters_of_batch_normalisation_may_be_missing(tmp_path: Path) -> None:
    network = nn.Sequential(nn.Conv2d(1, 2, 1), nn.BatchNorm2d(2))
    tensors = {k: v for k, v in network.state_dict().items() if "num_batches" not in k}
    torch.save(tensors, tmp_path / "a.pth")
    load_tensors(network, tmp_path / "a.pth")


def test_unreadable_files(tmp_path: Path) -> None:
    assert "no such file" in message(tmp_path / "none.pth")
    assert "no such file" in message(tmp_path)
    for name in ("a.pth", "a.safetensors"):
        file = tmp_path / name
        for content in (b"", b"no weights at all, only words"):
            file.write_bytes(content)
            assert "not a readable file of tensors" in message(file)
        tensors = {"a": torch.ones(4000)}
        if name == "a.pth":
            torch.save(tensors, file)
        else:
            safetensors.torch.save_file(tensors, file)
        file.write_bytes(file.read_bytes()[:9000])
        assert "not a readable file of tensors" in message(file)
    torch.save([torch.ones(1)], tmp_path / "list.pth")
    assert "holds no tensors by name" in message(tmp_path / "list.pth")


def state(**shapes: tuple[int, ...]) -> dict[str, Tensor]:
    return {name: torch.zeros(shape) for name, shape in shapes.items()}


def test_weights_that_may_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "a.safetensors"
    write_tensors(nn.Linear(2, 2), file)

    def refused(self: Path, *_: Any) -> None:
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "open", refused)
    with pytest.raises(UserError, match=r"a\.safetensors: cannot be read: Permission denied$"):
        read_tensors(file)


def test_mismatches_are_counted(tmp_path: Path) -> None:
    wanted = state(a=(1,), b=(2, 3), c=(4,), d=(5,))
    assert key_mismatch(wanted, state(b=(3, 2), c=(4,), d=(6,), x=(1,))) == (
        "1 of 4 keys missing, 1 unknown, 2 of another shape (a, x, b: [3, 2] for [2, 3])"
    )
    assert key_mismatch(wanted, wanted) == ""
    network = nn.Linear(3, 2)
    before = network.weight.clone()
    torch.save(state(weight=(2, 3)), tmp_path / "a.pth")
    text = message(tmp_path / "a.pth", network)
    assert "a checkpoint of another network: 1 of 2 keys missing, 0 unknown" in text
    assert torch.equal(network.weight, before)
