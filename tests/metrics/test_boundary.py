"""Boundary IoU against its authors' numbers; trimap IoU against a count pixel by pixel."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from bpkd.boundary import trimap_bands
from bpkd.errors import UserError
from bpkd.metrics.boundary import BoundaryIoU, TrimapIoU, boundary_distance, mask_boundary

DATA = Path(__file__).parents[1] / "parity" / "data"


@pytest.fixture(scope="module")
def reference() -> dict[str, torch.Tensor]:
    with np.load(DATA / "boundary_iou.npz") as arrays:
        return {name: torch.from_numpy(np.asarray(arrays[name])) for name in arrays}


@pytest.mark.parametrize("case", [f"s{seed}_m{i}" for seed in (0, 1) for i in range(4)])
def test_mask_boundary_equals_the_authors(reference, case):
    true, predicted = reference[f"{case}_gt"], reference[f"{case}_pred"]
    d = boundary_distance(*true.shape, 0.02)
    assert d == reference[f"{case}_d"]
    for name, mask in (("gt", true), ("pred", predicted)):
        boundary = mask_boundary(mask[None], d)[0] & (mask == 1)
        assert torch.equal(boundary.byte(), reference[f"{case}_{name}_boundary"])


@pytest.mark.parametrize("case", [f"s{seed}_m{i}" for seed in (0, 1) for i in range(4)])
@pytest.mark.parametrize(("suffix", "ratio"), [("", 0.02), ("_r005", 0.005), ("_r040", 0.04)])
def test_boundary_iou_of_one_mask_equals_the_authors(reference, case, suffix, ratio):
    metric = BoundaryIoU(num_classes=2, dilation_ratio=ratio)
    metric.update(reference[f"{case}_pred"][None], reference[f"{case}_gt"][None])
    value = metric.compute()["boundary_IoU"][1].nan_to_num()  # pycocotools: two empty masks are 0
    torch.testing.assert_close(value, reference[f"{case}_boundary_iou{suffix}"], rtol=1e-14, atol=0)


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("dtype", [torch.uint8, torch.int64])
def test_boundary_iou_of_maps_follows_the_void_rule(reference, seed, dtype):
    prediction = reference[f"s{seed}_map_pred"].to(dtype)
    labels = reference[f"s{seed}_map_gt"].to(dtype)
    counts = reference[f"s{seed}_map_inter_union_void"]
    assert not torch.equal(counts, reference[f"s{seed}_map_inter_union"])
    metric = BoundaryIoU(num_classes=5)
    for i in range(len(labels)):
        alone = BoundaryIoU(num_classes=5)
        alone.update(prediction[i : i + 1], labels[i : i + 1])
        assert torch.equal(alone.intersections, counts[i, :, 0])
        assert torch.equal(alone.sums - alone.intersections, counts[i, :, 1])
    metric.update(prediction, labels)
    intersection, union = counts.sum(0).double().unbind(1)
    results = metric.compute()
    assert torch.equal(results["boundary_IoU"], intersection / union)
    assert results["boundary_mIoU"] == (intersection / union).mean()


def test_absent_classes_are_nan_and_left_out_of_the_mean():
    labels = torch.zeros(1, 10, 10, dtype=torch.int64)
    labels[:, 5:] = 2
    for metric, prefix, suffix in (
        (BoundaryIoU(4), "boundary", ""),
        (TrimapIoU(4), "trimap", "@1"),
    ):
        metric.update(labels, labels)
        results = metric.compute()
        assert results[f"{prefix}_IoU{suffix}"].isnan().tolist() == [False, True, False, True]
        assert results[f"{prefix}_mIoU{suffix}"] == 1


def test_trimap_iou_counts_only_inside_the_band():
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(0, 3, (2, 4, 5), generator=generator)
    labels = labels.repeat_interleave(12, 1).repeat_interleave(12, 2)
    labels[:, :3, :7] = 255
    prediction = torch.randint(0, 3, labels.shape, generator=generator)
    metric = TrimapIoU(num_classes=3, widths=(1, 3))
    for i in (0, 1):
        metric.update(prediction[i : i + 1], labels[i : i + 1])
    results = metric.compute()
    assert set(results) == {"trimap_mIoU@1", "trimap_IoU@1", "trimap_mIoU@3", "trimap_IoU@3"}
    for width in (1, 3):
        band = trimap_bands(labels, width) & (labels != 255)
        for c in range(3):
            true, predicted = (labels == c) & band, (prediction == c) & band
            iou = (true & predicted).sum().double() / (true | predicted).sum()
            assert results[f"trimap_IoU@{width}"][c] == iou


def test_trimap_iou_ignores_errors_away_from_the_outlines():
    labels = torch.zeros(1, 20, 20, dtype=torch.int64)
    labels[:, 10:] = 1
    prediction = labels.clone()
    prediction[:, :9] = 1  # wrong everywhere but in the last row before the outline
    metric = TrimapIoU(num_classes=2, widths=(1, 2))
    metric.update(prediction, labels)
    assert metric.compute()["trimap_mIoU@1"] == 1
    assert metric.compute()["trimap_mIoU@2"] == pytest.approx((1 / 2 + 2 / 3) / 2)


@pytest.mark.parametrize("widths", [(), (1, 0), (-1,)])
def test_refuses_widths(widths):
    with pytest.raises(UserError, match="widths are"):
        TrimapIoU(2, widths=widths)


@pytest.mark.parametrize("ratio", [0.0, 1.0, -0.02])
def test_refuses_dilation_ratios(ratio):
    with pytest.raises(UserError, match="dilation_ratio is"):
        BoundaryIoU(2, dilation_ratio=ratio)
