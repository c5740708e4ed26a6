"""ConfusionMatrix against MMSegmentation's numbers, and merged over processes."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import Tensor, nn

from bpkd.errors import UserError
from bpkd.metrics.boundary import BoundaryIoU, TrimapIoU
from bpkd.metrics.confusion import ConfusionMatrix

DATA = Path(__file__).parents[1] / "parity" / "data"
CASES = {"both": (0, 1), "image0_only": (0,), "image1_only": (1,)}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("dtype", [torch.uint8, torch.int64])
def test_equals_mmsegmentation(case, dtype):
    maps = np.load(DATA / "iou_metric.npz")
    expected = json.loads((DATA / "iou_metric.json").read_text())[case]
    metric = ConfusionMatrix(num_classes=8)
    for image in CASES[case]:  # two sizes: one update an image
        prediction, labels = (
            torch.from_numpy(maps[f"{k}{image}"])[None] for k in ("pred", "label")
        )
        metric.update(prediction.to(dtype), labels.to(dtype))
    results = metric.compute()
    for name in ("aAcc", "mIoU", "mAcc", "IoU", "Acc"):
        value = torch.tensor(np.array(expected[name], dtype=np.float64))  # null becomes nan
        torch.testing.assert_close(results[name], value, rtol=1e-14, atol=0, equal_nan=True)
    assert metric.matrix.diagonal().tolist() == expected["area_intersect"]
    assert metric.matrix.sum(0).tolist() == expected["area_pred"]
    assert metric.matrix.sum(1).tolist() == expected["area_label"]


def test_all_ignored_and_reset():
    metric = ConfusionMatrix(num_classes=3)
    ignored = torch.full((1, 4, 4), 255)
    metric.update(torch.zeros_like(ignored), ignored)
    assert metric.compute()["mIoU"].isnan() and metric.compute()["aAcc"].isnan()
    metric.update(torch.zeros_like(ignored), torch.zeros_like(ignored))
    assert metric.compute()["mIoU"] == 1
    metric.reset()
    assert metric.matrix.sum() == 0


def test_counts_stay_exact_beyond_float32():
    metric = ConfusionMatrix(num_classes=2)
    metric.matrix = torch.tensor([[2**40, 0], [0, 1]])
    metric.update(torch.zeros(1, 1, 1).long(), torch.zeros(1, 1, 1).long())
    assert metric.matrix.tolist() == [[2**40 + 1, 0], [0, 1]]


def test_predictions_on_ignored_pixels_may_be_anything():
    metric = ConfusionMatrix(num_classes=2)
    metric.update(torch.tensor([[[0, 255]]]), torch.tensor([[[0, 255]]]))
    assert metric.matrix.tolist() == [[1, 0], [0, 0]]


@pytest.mark.parametrize(
    ("prediction", "labels", "message"),
    [
        ([[[0, 2]]], [[[0, 1]]], "prediction: found the value 2, expected 0 .. 1;"),
        ([[[0, 255]]], [[[0, 1]]], "prediction: found the value 255, expected 0 .. 1;"),
        ([[[0, 1]]], [[[0, 7]]], "labels: found the value 7, expected 0 .. 1;"),
        ([[[0, 1, 1]]], [[[0, 1]]], r"prediction: shape is \(1, 1, 3\), expected that of"),
        ([[[0.0, 1.0]]], [[[0, 1]]], "prediction: dtype is torch.float32"),
    ],
)
def test_names_what_is_wrong(prediction, labels, message):
    for metric in (ConfusionMatrix(2), TrimapIoU(2), BoundaryIoU(2)):
        with pytest.raises(UserError, match=message):
            metric.update(torch.tensor(prediction), torch.tensor(labels))


def make_metrics() -> nn.ModuleList:
    return nn.ModuleList([ConfusionMatrix(4), TrimapIoU(4, widths=(1, 2)), BoundaryIoU(4)])


def make_images() -> list[tuple[Tensor, Tensor]]:
    """Five images of two sizes; each class is rare in some of them."""
    generator = torch.Generator().manual_seed(0)
    images = []
    for side in (20, 31, 20, 31, 20):
        labels = torch.randint(0, 4, (1, side // 5 + 1, 8), generator=generator)
        labels = labels.repeat_interleave(5, 1).repeat_interleave(5, 2)
        noise = torch.randint(0, 20, labels.shape, generator=generator)
        images.append((torch.where(noise < 4, noise, labels), labels.masked_fill(noise == 19, 255)))
    return images


def count(metrics: nn.ModuleList, images: list[tuple[Tensor, Tensor]]) -> dict[str, Tensor]:
    results = {}
    for metric in metrics:
        for prediction, labels in images:
            metric.update(prediction, labels)
        results |= metric.compute()
    return results


def worker(rank: int, folder: str) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/init", rank=rank, world_size=2)
    share = make_images()[:4] if rank == 0 else make_images()[4:]  # four images and one
    torch.save(count(make_metrics(), share), f"{folder}/{rank}.pt")
    dist.destroy_process_group()


def test_two_processes_equal_one(tmp_path):
    # A fork has torch already, which takes seconds to import; macOS has no safe forks.
    method = "fork" if sys.platform == "linux" else "spawn"
    mp.start_processes(worker, (str(tmp_path),), nprocs=2, start_method=method)
    expected = count(make_metrics(), make_images())
    alone = count(make_metrics(), make_images()[:4])
    assert expected["mIoU"] != alone["mIoU"]  # the second process's image matters
    for rank in (0, 1):
        merged = torch.load(tmp_path / f"{rank}.pt")
        assert merged.keys() == expected.keys()
        for name, value in expected.items():
            torch.testing.assert_close(merged[name], value, rtol=0, atol=0, equal_nan=True)
