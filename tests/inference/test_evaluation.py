"""Numbers against a hand computation, and when they are taken from the run's folder."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from bpkd import UserError, evaluate, train
from bpkd.datasets.loading import eval_loader
from bpkd.datasets.scenes import Scenes
from bpkd.inference.evaluation import fingerprint, inference_parameters, measure
from bpkd.inference.windows import whole
from bpkd.metrics.measures import Measures
from bpkd.networks.base import SegOutput
from bpkd.support.tensors import read_tensors
from bpkd.tasks.semantic import Semantic
from tests.runs import TINY


class Brightest(nn.Module):
    """Each pixel's class is its brightest channel."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(3))
        self.auxiliary_head = nn.Linear(5, 5)

    def forward(self, images: Tensor) -> SegOutput:
        assert not self.training
        return SegOutput(images * self.scale.view(1, 3, 1, 1), {})


class Pairs:
    """Two images of 2x2 and 1x3 pixels, of three classes."""

    maps = (([[0, 0], [1, 1]], [[0, 1], [1, 255]]), ([[1, 1, 0]], [[1, 1, 1]]))

    def __len__(self) -> int:
        return 2

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        predicted, labels = (torch.tensor(each) for each in self.maps[index])
        image = nn.functional.one_hot(predicted, 3).permute(2, 0, 1).to(torch.uint8) * 255
        return image, labels.to(torch.uint8)


def test_numbers_are_pooled_over_the_data_set() -> None:
    network = Brightest().train()
    task = Semantic(Measures(3, (1,), 0.02, 255), whole)
    for _ in range(2):  # nothing is left over from the first time
        scores = measure(network, eval_loader(Pairs()), task)
    # Class 0: 1 pixel both, 3 predicted, 1 labelled: IoU 1/3, accuracy 1.
    # Class 1: 3 both, 3 predicted, 5 labelled: IoU 3/5, accuracy 3/5. Class 2 does not occur.
    assert scores["IoU"][:2] == pytest.approx([1 / 3, 3 / 5])
    assert scores["IoU"][2] != scores["IoU"][2]  # nan
    assert scores["mIoU"] == pytest.approx((1 / 3 + 3 / 5) / 2)
    assert scores["mAcc"] == pytest.approx((1 + 3 / 5) / 2)
    assert scores["aAcc"] == pytest.approx(4 / 6)
    assert scores["parameters"] == 3
    assert scores["milliseconds"] > 0


def test_the_auxiliary_head_is_not_counted() -> None:
    network = Brightest()
    assert inference_parameters(network) == [network.scale]


def test_the_fingerprint_follows_weights_and_settings() -> None:
    network = Brightest()
    before = fingerprint(network, "a", "b")
    assert fingerprint(network, "a", "b") == before
    assert fingerprint(network, "a", "c") != before
    with torch.no_grad():
        network.scale[1] += 1e-6
    assert fingerprint(network, "a", "b") != before


def test_an_answer_is_reused_while_weights_and_settings_are_the_same(tmp_path: Path) -> None:
    (tmp_path / "tiny.yaml").write_text(TINY)
    run = train(tmp_path / "tiny.yaml", f"run={tmp_path / 'run'}", "max_iters=1", progress=False)
    measured: list[int] = []

    def counting(loader: Any) -> Iterator[Any]:
        measured.append(1)
        return iter(loader)

    first = evaluate(run, "data.count=2", progress=counting)
    assert len(measured) == 1
    assert str(evaluate(run, "data.count=2", progress=counting)) == str(first)  # nan in it
    assert len(measured) == 1
    evaluate(run, "data.count=2", "evaluation.trimap_widths=[2]", progress=counting)
    assert len(measured) == 2
    evaluate(run, "data.count=2", progress=counting)
    assert len(measured) == 3
    evaluate(run, "data.count=2", split="val", progress=counting)
    assert len(measured) == 4
    file = run / "student.safetensors"
    weights = read_tensors(file)
    next(value for value in weights.values() if value.is_floating_point()).add_(0.5)
    save_file(weights, file)
    evaluate(run, "data.count=2", split="val", progress=counting)
    assert len(measured) == 5
    stored = json.loads((run / "evaluation_val.json").read_text())
    assert stored["scores"].keys() == first.keys()


class Unlabelled(Scenes):
    """A test split whose labels are kept by its owners, as that of Cityscapes."""

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        image, labels = super().__getitem__(index)
        return image, torch.full_like(labels, 255)


def test_a_split_without_labels_is_not_measured(tmp_path: Path) -> None:
    (tmp_path / "tiny.yaml").write_text(TINY)
    run = train(tmp_path / "tiny.yaml", f"run={tmp_path / 'run'}", "max_iters=0", progress=False)
    hidden = "data={use: tests.inference.test_evaluation.Unlabelled, size: [32, 48], count: 2}"
    with pytest.raises(UserError, match="no pixel of the split 'test' has a label"):
        evaluate(run, hidden)
    assert not (run / "evaluation_test.json").exists()
