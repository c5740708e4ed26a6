"""The student's own loss: class weights, hard pixels, smoothed labels, Dice and Lovász."""

from __future__ import annotations

import sys

import pytest
import segmentation_models_pytorch.losses as smp
import torch
import torch.nn.functional as F
from torch import Tensor

from bpkd.errors import UserError
from bpkd.losses.task import TaskLoss, cross_entropy, hard_pixels, library


def batch(seed: int = 0, ignored: bool = True) -> tuple[Tensor, Tensor]:
    draw = torch.Generator().manual_seed(seed)
    logits = torch.randn(2, 4, 6, 7, generator=draw, dtype=torch.float64).requires_grad_()
    labels = torch.randint(4, (2, 6, 7), generator=draw)
    if ignored:
        labels[0, :2] = 255
    return logits, labels


ALL = TaskLoss((1.0, 2.0, 0.5, 4.0), 0.1, (0.7, 3), 0.5, 0.3)


def test_without_options_it_is_the_mean_over_labelled_pixels() -> None:
    logits, labels = batch()
    expected = F.cross_entropy(logits, labels, ignore_index=255)
    assert TaskLoss()(logits, labels).item() == pytest.approx(expected.item(), rel=1e-12)


def test_weights_multiply_and_do_not_divide() -> None:
    logits, labels = batch()
    weights = torch.tensor([1.0, 2.0, 0.5, 4.0], dtype=torch.float64)
    each = F.cross_entropy(logits, labels, ignore_index=255, reduction="none")
    kept = labels != 255
    expected = (each[kept] * weights[labels[kept]]).sum() / kept.sum()
    found = TaskLoss(tuple(weights.tolist()))(logits, labels)
    assert found.item() == pytest.approx(expected.item(), rel=1e-12)
    torch_own = F.cross_entropy(logits, labels, weights, ignore_index=255)
    assert abs(found - torch_own) > 1e-3  # which divides by the sum of weights
    double = TaskLoss((2.0,) * 4)(logits, labels)
    assert double.item() == pytest.approx(2 * TaskLoss()(logits, labels).item())


def test_label_smoothing_by_formula() -> None:
    logits, labels = batch(ignored=False)
    log_p = logits.log_softmax(dim=1)
    own = -log_p.gather(1, labels[:, None]).mean()
    expected = 0.9 * own - 0.1 * log_p.mean()
    found = cross_entropy(logits, labels, label_smoothing=0.1)
    assert found.item() == pytest.approx(expected.item(), rel=1e-12)


def test_hard_pixels_are_those_below_the_threshold() -> None:
    logits, labels = batch()
    p = logits.softmax(1).gather(1, labels.clamp(max=3)[:, None]).squeeze(1)
    kept = (p < 0.3) & (labels != 255)
    assert 5 < kept.sum() < 60
    assert torch.equal(hard_pixels(logits, labels, 0.3, 0), kept)
    each = F.cross_entropy(logits, labels, ignore_index=255, reduction="none")
    expected = each[kept].sum() / (labels != 255).sum()
    assert TaskLoss(ohem=(0.3, 0))(logits, labels).item() == pytest.approx(expected.item())


@pytest.mark.parametrize("least", [0, 1, 10, 1000])
def test_there_are_at_least_so_many_hard_pixels_an_image(least: int) -> None:
    logits, labels = batch()
    labelled = int((labels != 255).sum())
    kept = hard_pixels(logits, labels, 0.0, least)
    # As MMSegmentation's: below the probability of the last labelled pixel, which stays out.
    assert kept.sum() == min(2 * least, labelled - 1)
    own = logits.softmax(1).gather(1, labels.clamp(max=3)[:, None]).squeeze(1)
    easy = ~kept & (labels != 255)
    if least:
        assert own[kept].max() < own[easy].min()


def test_dice_and_lovasz_are_the_librarys() -> None:
    logits, labels = batch()
    found = TaskLoss(dice=0.5, lovasz=0.3)(logits, labels)
    dice = smp.DiceLoss("multiclass", ignore_index=255)(logits, labels)
    lovasz = smp.LovaszLoss("multiclass", ignore_index=255)(logits.float(), labels)
    plain = TaskLoss()(logits, labels)
    expected = plain + 0.5 * dice + 0.3 * lovasz
    assert found.item() == pytest.approx(expected.item(), rel=1e-7)
    assert dice > 0.1 and lovasz > 0.1


@pytest.mark.parametrize("loss", [TaskLoss(), ALL], ids=["plain", "all"])
def test_ignored_pixels_have_no_effect(loss: TaskLoss) -> None:
    logits, labels = batch()
    other = logits.detach().clone()
    other[0, :, :2] += 100.0
    assert loss(other, labels).item() == pytest.approx(loss(logits, labels).item(), rel=1e-12)


@pytest.mark.parametrize("loss", [TaskLoss(), ALL], ids=["plain", "all"])
def test_an_all_ignored_batch_backpropagates(loss: TaskLoss) -> None:
    logits, labels = batch()
    value = loss(logits, torch.full_like(labels, 255))
    value.backward()  # type: ignore[no-untyped-call]
    assert value == 0
    assert logits.grad is not None and not logits.grad.any()


def test_gradcheck() -> None:
    logits, labels = batch()
    fixed = TaskLoss((1.0, 2.0, 0.5, 4.0), 0.1, dice=0.5)
    assert torch.autograd.gradcheck(lambda z: fixed(z, labels), logits, fast_mode=True)


@pytest.mark.parametrize("loss", [TaskLoss(), ALL], ids=["plain", "all"])
def test_finite_at_logits_of_1000(loss: TaskLoss) -> None:
    logits, labels = batch()
    large = (1000 * logits.detach().sign()).float().requires_grad_()
    value = loss(large, labels)
    value.backward()  # type: ignore[no-untyped-call]
    assert value.isfinite() and large.grad is not None and large.grad.isfinite().all()


def test_as_many_weights_as_classes() -> None:
    with pytest.raises(
        UserError, match="class_weights: expected one for each of the 4 classes, got 2"
    ):
        TaskLoss((1.0, 2.0))(*batch())


def test_a_missing_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "segmentation_models_pytorch.losses", None)
    with pytest.raises(UserError, match=r"pip install 'bpkd\[smp\]'"):
        library()
