"""What is kept of an output: rounded, the likeliest classes, and all that the losses look at."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from bpkd import UserError
from bpkd.losses.kd import KD
from bpkd.networks.base import InstanceOutput, SegOutput
from bpkd.training.teacher_cache.cache import TeacherCache
from bpkd.training.teacher_cache.outputs import asked_for, named, output_of
from bpkd.training.teacher_cache.packing import Packing, from_bytes, to_bytes
from tests.losses import test_contract as contract


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
@pytest.mark.parametrize("top_k", [None, 3, 300])
def test_bytes_and_back(dtype: Any, top_k: int | None) -> None:
    packing = Packing((300, 2, 3), dtype, top_k)
    maps = torch.randn(2, 300, 2, 3, generator=torch.Generator().manual_seed(0))
    parts = packing.packed(maps)
    contents = to_bytes(parts)
    assert [len(content) for content in contents] == [packing.size] * 2
    there = packing.unpacked(parts)
    assert there.dtype == torch.float32
    assert torch.equal(packing.unpacked(from_bytes(packing, contents)), there)
    if top_k != 3:
        assert torch.equal(there, maps.to(getattr(torch, dtype)).float())
    else:
        wanted, found = maps.softmax(1), there.softmax(1)
        kept = maps.topk(3, dim=1).indices
        bound = {"float16": 2e-3, "bfloat16": 1.6e-2, "float32": 1e-5}[dtype]
        torch.testing.assert_close(
            found.gather(1, kept), wanted.gather(1, kept), rtol=bound, atol=0
        )
        assert len(there[0, :, 0, 0].unique()) == 4  # all others are alike


def test_outputs_by_name() -> None:
    maps = torch.zeros(1, 2, 3, 3)
    for output in (
        SegOutput(maps, {"head": maps, "a.b": maps}, maps),
        SegOutput(maps, {}),
        InstanceOutput([maps, maps + 1], [maps, maps], maps, {"p2": maps}),
    ):
        again = output_of(named(output, type(output)), type(output))
        assert str(again) == str(output)


class Theirs(nn.Module):
    """A loss from outside: nobody knows what it looks at."""


def test_all_is_kept_for_a_loss_from_outside() -> None:
    given = ["logits", "features.backbone", "features.head", "auxiliary"]
    assert asked_for([Theirs()], given) == given
    assert asked_for([KD()], given) == ["logits"]


@contract.every_loss
def test_every_loss_is_given_all_that_it_looks_at(cls: type[nn.Module]) -> None:
    """Its terms are the same to the last bit when the teacher's output holds nothing else."""
    loss = contract.build(cls)
    student, teacher = contract.outputs(cls), contract.outputs(cls, seed=1)
    more = teacher._replace(features=teacher.features | {"backbone": torch.ones(2, 3, 4, 5)})
    tensors = named(more, SegOutput)
    asked = asked_for([loss], tensors)
    kept = output_of({name: tensors[name] for name in asked}, SegOutput)
    if cls.__module__.startswith("bpkd."):  # of a class from elsewhere nobody knows
        assert "features.backbone" not in asked
    labels = contract.labels_for(student)
    whole, part = (contract.call(loss, student, it, labels) for it in (more, kept))
    assert whole.keys() == part.keys()
    for name, value in whole.items():
        assert torch.equal(value, part[name]), name


def cache(folder: Any, dtype: Any = "float16") -> TeacherCache:
    return TeacherCache(folder, SegOutput, {"logits": Packing((2, 3, 3), dtype)})


def say(value: float) -> Any:
    """A teacher of one answer."""
    return lambda images: SegOutput(torch.full((len(images), 2, 3, 3), value), {})


def test_numbers_that_float16_does_not_hold_are_refused(tmp_path: Any) -> None:
    images = torch.rand(1, 3, 8, 8)
    with pytest.raises(UserError, match=r"logits reach 7e\+04.*teacher_cache.dtype to bfloat16"):
        cache(tmp_path)(say(7e4), images, 0)
    with pytest.raises(UserError, match="not finite"):
        cache(tmp_path)(say(torch.nan), images, 0)
    (tmp_path / "other").mkdir()
    kept = cache(tmp_path / "other", "bfloat16")(say(7e4), images, 0)
    assert kept.logits[0, 0, 0, 0] == torch.tensor(7e4).bfloat16().float()


def test_images_of_another_size_are_refused(tmp_path: Any) -> None:
    other: Any = lambda images: SegOutput(torch.zeros(1, 2, 3, 4), {})  # noqa: E731
    with pytest.raises(UserError, match=r"shape \(2, 3, 4\) for this batch and \(2, 3, 3\)"):
        cache(tmp_path)(other, torch.rand(1, 3, 8, 8), 0)


def test_only_what_is_missing_is_computed_and_what_is_there_counts(
    tmp_path: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    images = torch.rand(4, 3, 8, 8)
    cache(tmp_path)(say(1.0), images[:2], 0)
    ours = cache(tmp_path)
    mixed = ours(say(2.0), images, 0).logits[:, 0, 0, 0]
    assert mixed.tolist() == [1, 1, 2, 2]
    assert (ours.found, ours.asked) == (2, 2)
    again = ours(say(torch.nan), images, 0).logits[:, 0, 0, 0]
    assert torch.equal(again, mixed)
    # The same numbers of draws, other images: nothing is served, and that is said once.
    other: Tensor = images.flip(3)
    assert ours(say(3.0), other, 0).logits.unique().tolist() == [3]
    assert "records of other images" in capsys.readouterr().err


def test_a_limit_stops_the_writing_and_not_the_run(
    tmp_path: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    ours = TeacherCache(tmp_path, SegOutput, {"logits": Packing((2, 3, 3))}, limit=1)
    assert ours(say(1.0), torch.rand(2, 3, 8, 8), 0).logits.unique().tolist() == [1]
    assert not ours.writing
    assert capsys.readouterr().err.count("its limit of 1e-09 GB is reached") == 1


def test_a_gigabyte_is_left_on_the_disk(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("bpkd.training.teacher_cache.cache.RESERVE", 2**62)
    ours = cache(tmp_path)
    ours(say(1.0), torch.rand(1, 3, 8, 8), 0)
    assert "left; the run goes on" in capsys.readouterr().err
    assert cache(tmp_path).records["logits"].read(0, 0) is None
