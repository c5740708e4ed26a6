"""BPKD against numbers worked out by hand and against a loop over classes."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from math import log
from typing import Any, get_args

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.onehot import edge_masks_onehot
from bpkd.errors import UserError
from bpkd.losses.bpkd import BPKD, body_loss, edge_loss, published, published_sum
from bpkd.losses.cwd import CWD
from bpkd.losses.edge_reduction import Reduction
from bpkd.losses.kd import kd
from bpkd.networks.base import SegOutput

KL = 0.75 * log(1.5) + 0.25 * log(0.5)  # of (3/4, 1/4) from (1/2, 1/2)


def naive_edge(
    student: Tensor,
    teacher: Tensor,
    masks: Tensor,
    alpha: Tensor,
    temperature: float,
    *,
    pre: bool = True,
    post: bool = True,
    reduction: Reduction = "sum",
    valid: Tensor | None = None,
) -> Tensor:
    """The formulas as they are written, with maps repeated over all classes."""
    if pre:
        student, teacher = student * masks, teacher * masks
    p = F.softmax(teacher / temperature, dim=1)
    q = F.softmax(student / temperature, dim=1)
    phi = (p * (p / q).log()).sum(dim=1, keepdim=True).repeat(1, masks.shape[1], 1, 1)
    counted = masks if post else torch.ones_like(masks)
    if not post and valid is not None:
        counted = counted * valid
    weighed = phi * counted * alpha.view(-1, 1, 1)
    if reduction == "mean":  # of all elements; ignored pixels are none
        every = torch.ones_like(masks) if valid is None else valid.expand_as(masks)
        return temperature**2 * weighed[every.bool()].mean()
    if reduction == "band":
        return temperature**2 * weighed.sum(dim=1).sum() / counted.sum(dim=1).sum()
    means = [
        weighed[:, c].sum() / counted[:, c].sum()
        for c in range(masks.shape[1])
        if counted[:, c].sum() > 0
    ]
    whole = torch.stack(means).sum() if reduction == "sum" else torch.stack(means).mean()
    return temperature**2 * whole


def naive_body(student: Tensor, teacher: Tensor, masks: Tensor, temperature: float) -> Tensor:
    """For each image and class: the KL divergence of two distributions over pixels."""
    n, classes = student.shape[:2]
    total = student.new_zeros(())
    for b, c in product(range(n), range(classes)):
        q = F.softmax((student * (1 - masks))[b, c].flatten() / temperature, dim=0)
        p = F.softmax((teacher * (1 - masks))[b, c].flatten() / temperature, dim=0)
        total = total + (p * (p / q).log()).sum()
    return temperature**2 * total / (n * classes)


def random_case(seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """Logits of both (2, 5, 9, 7) and labels (2, 36, 28) in which class 4 does not occur."""
    draw = torch.Generator().manual_seed(seed)
    student = torch.randn(2, 5, 9, 7, generator=draw, dtype=torch.float64).requires_grad_()
    teacher = 3 * torch.randn(2, 5, 9, 7, generator=draw, dtype=torch.float64)
    blobs = torch.randint(4, (2, 6, 4), generator=draw)
    labels = blobs.repeat_interleave(6, 1).repeat_interleave(7, 2)
    return student, teacher, labels


def out(logits: Tensor) -> SegOutput:
    return SegOutput(logits, {})


REDUCTIONS: tuple[Reduction, ...] = get_args(Reduction)
every_reduction = pytest.mark.parametrize("reduction", REDUCTIONS)


@every_reduction
@pytest.mark.parametrize(("pre", "post"), list(product((True, False), repeat=2)))
@pytest.mark.parametrize("ignored", [False, True])
def test_edge_loss_equals_the_formula(
    pre: bool, post: bool, ignored: bool, reduction: Reduction
) -> None:
    student, teacher, labels = random_case()
    valid = None
    if ignored:
        labels[:, 8:16] = 255
        valid = torch.ones(2, 1, 9, 7, dtype=torch.bool)
        valid[:, :, 2:4] = False
    masks = edge_masks_onehot(labels, 5, 5, (9, 7)).double()
    assert masks[:, 4].sum() == 0 and masks[:, :4].sum(dim=(0, 2, 3)).min() > 0
    alpha = torch.tensor([1.0, 2.0, 0.5, 0.0, 3.0], dtype=torch.float64)
    given, named = (student, teacher, masks, alpha, 2.5), {"reduction": reduction, "valid": valid}
    value = edge_loss(*given, pre_mask=pre, post_mask=post, **named)  # type: ignore[arg-type]
    expected = naive_edge(*given, pre=pre, post=post, **named)  # type: ignore[arg-type]
    torch.testing.assert_close(value, expected, rtol=1e-12, atol=0)
    ours, theirs = (torch.autograd.grad(v, student)[0] for v in (value, expected))
    torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-14)


def test_body_loss_equals_the_loop_over_classes() -> None:
    student, teacher, labels = random_case()
    masks = edge_masks_onehot(labels, 5, 5, (9, 7)).double()
    value = body_loss(student, teacher, masks, 2.5)
    expected = naive_body(student, teacher, masks, 2.5)
    torch.testing.assert_close(value, expected, rtol=1e-12, atol=0)
    ours, theirs = (torch.autograd.grad(v, student)[0] for v in (value, expected))
    torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-14)


def test_the_module_is_both_losses_with_masks_from_the_labels() -> None:
    student, teacher, labels = random_case()
    masks = edge_masks_onehot(labels, 5, 7, (9, 7)).double()
    terms = published_sum()(out(student), out(teacher), labels)
    alpha = torch.full((5,), 2.0, dtype=torch.float64)
    edge = naive_edge(student, teacher, masks, alpha, 1.0)
    assert terms["edge"].item() == pytest.approx(edge.item(), rel=1e-6)  # masks are float32
    body = naive_body(student, teacher, masks, 1.0)
    assert terms["body"].item() == pytest.approx(body.item(), rel=1e-6)


@pytest.mark.parametrize("terms", ["edge", "body"])
def test_one_term_alone_is_the_same_number(terms: str) -> None:
    student, teacher, labels = random_case()
    both = BPKD()(out(student), out(teacher), labels)
    alone = BPKD(terms=terms)(out(student), out(teacher), labels)  # type: ignore[arg-type]
    assert alone == {terms: both[terms]}


def test_edges_from_the_teacher_are_edges_of_its_prediction() -> None:
    student, teacher, labels = random_case()
    size = (labels.shape[1], labels.shape[2])
    upsampled = F.interpolate(teacher, size=size, mode="bilinear", align_corners=False)
    expected = BPKD()(out(student), out(teacher), upsampled.argmax(dim=1))
    unlabelled = torch.full_like(labels, 255)
    terms = BPKD(edges="teacher")(out(student), out(teacher), unlabelled)
    assert terms["edge"] > 0
    assert terms == expected


@pytest.mark.parametrize(
    ("reduction", "value"),
    [("sum", 3 / 2 + 3), ("classes", (3 / 2 + 3) / 2), ("mean", 6 / 12), ("band", 6 / 3)],
)
def test_each_reduction_by_hand(reduction: Reduction, value: float) -> None:
    """Four pixels, three classes, KL at the first alone; α is 3.

    Class 0 has an edge at the first two, class 1 at the first, class 2 none: class means 3/2 and
    3 times KL, 3 + 3 over twelve elements, and over the three of the band.
    """
    teacher = torch.tensor([3.0, 1.0, 1.0], dtype=torch.float64).log()
    teacher = teacher.view(1, 3, 1, 1).repeat(1, 1, 1, 4)
    student = teacher.clone()
    student[..., 0] = 0.0
    masks = torch.zeros(1, 3, 1, 4)
    masks[0, 0, 0, :2] = masks[0, 1, 0, 0] = 1.0
    kl = 0.6 * log(0.6 * 3) + 2 * 0.2 * log(0.2 * 3)
    loss = edge_loss(student, teacher, masks, 3.0, pre_mask=False, reduction=reduction)
    assert loss.item() == pytest.approx(value * kl)


def test_the_mean_counts_no_ignored_pixels() -> None:
    """One of four pixels has a KL; where two are ignored, it is one of two."""
    teacher = torch.tensor([log(3.0), 0.0]).view(1, 2, 1, 1).repeat(1, 1, 1, 4)
    student = teacher.clone()
    student[..., 0] = 0.0
    masks = torch.zeros(1, 2, 1, 4)
    masks[..., 0] = 1.0
    valid = torch.tensor([[[[True, True, False, False]]]])
    values = [
        edge_loss(student, teacher, masks, reduction="mean", valid=valid) for valid in (None, valid)
    ]
    assert [value.item() for value in values] == pytest.approx([KL / 4, KL / 2])


@every_reduction
def test_every_reduction_grows_with_alpha_and_bears_images_twice(reduction: Reduction) -> None:
    student, teacher, labels = random_case()
    masks = edge_masks_onehot(labels, 5, 5, (9, 7)).double()
    once = edge_loss(student, teacher, masks, reduction=reduction)
    assert edge_loss(student, teacher, masks, 2.0, reduction=reduction) == 2 * once
    twice = (maps.repeat(2, 1, 1, 1) for maps in (student, teacher, masks))
    assert edge_loss(*twice, reduction=reduction).item() == pytest.approx(once.item())


def test_a_number_added_to_all_logits_of_a_pixel_counts_only_where_it_is_not_taken_off() -> None:
    """It changes no prediction. The published filter sees it, in both terms."""
    student, teacher, labels = random_case()
    masks = edge_masks_onehot(labels, 5, 5, (9, 7)).double()
    noise = torch.randn(2, 1, 9, 7, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    for loss in (edge_loss, body_loss):
        plain = loss(student, teacher, masks, pre_mask=True)
        assert abs(loss(student + noise, teacher - noise, masks, pre_mask=True) - plain) > 0.01
        centred = loss(student, teacher, masks, pre_mask="centred")
        assert centred.item() != pytest.approx(plain.item())
        shifted = loss(student + noise, teacher - noise, masks, pre_mask="centred")
        assert shifted.item() == pytest.approx(centred.item(), rel=1e-10)
        (gradient,) = torch.autograd.grad(shifted, student)
        assert gradient.sum(dim=1).abs().max() < 1e-12


def test_centred_by_hand() -> None:
    """Logits 3, 1, -1 over an edge of the first: 2 after the mean 1 is off, then 2, 0, 0."""
    teacher = torch.tensor([3.0, 1.0, -1.0]).view(1, 3, 1, 1)
    masks = torch.tensor([1.0, 0.0, 0.0]).view(1, 3, 1, 1)
    p = torch.tensor([2.0, 0.0, 0.0]).softmax(dim=0)
    value = edge_loss(torch.full((1, 3, 1, 1), 9.0), teacher, masks, pre_mask="centred")
    assert value.item() == pytest.approx((p * (3 * p).log()).sum().item())


def test_the_body_may_have_a_filter_of_its_own() -> None:
    student, teacher, labels = random_case()
    masked, bare = BPKD(pre_mask=True), BPKD(pre_mask=False)
    mixed = BPKD(pre_mask=True, body_pre_mask=False)(out(student), out(teacher), labels)
    assert mixed["edge"] == masked(out(student), out(teacher), labels)["edge"]
    assert mixed["body"] == bare(out(student), out(teacher), labels)["body"]


def test_recipes_of_before_the_reductions_had_names() -> None:
    assert BPKD().reduction == BPKD(average=False).reduction == "band"
    assert BPKD(average=True).reduction == "classes"


def test_one_edge_pixel_by_hand() -> None:
    """Two pixels, two classes, an edge of both at the first: 2 α KL there, nothing elsewhere."""
    teacher = torch.tensor([[[[log(3.0), 5.0]], [[0.0, -5.0]]]])
    student = torch.zeros(1, 2, 1, 2)
    masks = torch.tensor([[[[1.0, 0.0]], [[1.0, 0.0]]]])
    assert edge_loss(student, teacher, masks, 3.0).item() == pytest.approx(2 * 3 * KL)
    # Half an edge: sqrt(3) to 1 after the filter, and n_c cancels the half of the weight.
    p = 3**0.5 / (1 + 3**0.5)
    half = p * log(2 * p) + (1 - p) * log(2 * (1 - p))
    assert edge_loss(student, teacher, masks / 2, 3.0).item() == pytest.approx(2 * 3 * half)


def test_body_by_hand() -> None:
    """One class, three pixels, the last an edge: its logit is 0, not left out."""
    teacher = torch.tensor([[[[log(2.0), 0.0, 9.0]]]])  # filtered: 1/2, 1/4, 1/4
    student = torch.zeros(1, 1, 1, 3)
    masks = torch.tensor([[[[0.0, 0.0, 1.0]]]])
    expected = 0.5 * log(1.5) + 2 * 0.25 * log(0.75)
    assert body_loss(student, teacher, masks).item() == pytest.approx(expected)


def test_n_c_runs_over_the_batch() -> None:
    """Image 0 has three edge pixels of KL each, image 1 one without: 3/4 of KL, not 1/2."""
    teacher = torch.tensor([log(3.0), 0.0]).view(1, 2, 1, 1).repeat(2, 1, 1, 3)
    student = teacher.clone()
    student[0] = 0.0
    masks = torch.zeros(2, 2, 1, 3)
    masks[0, 0] = 1.0
    masks[1, 0, 0, 0] = 1.0
    value = edge_loss(student, teacher, masks, pre_mask=False)
    assert value.item() == pytest.approx(3 / 4 * KL)


def test_a_class_without_an_edge_adds_nothing() -> None:
    student, teacher, labels = random_case()
    masks = edge_masks_onehot(labels, 5, 5, (9, 7)).double()
    weights = torch.tensor([1.0, 1.0, 1.0, 1.0, 0.0], dtype=torch.float64)
    huge = torch.tensor([1.0, 1.0, 1.0, 1.0, 1e9], dtype=torch.float64)
    assert torch.equal(
        edge_loss(student, teacher, masks, weights), edge_loss(student, teacher, masks, huge)
    )


def test_no_boundary_is_exactly_0_with_a_gradient() -> None:
    student, teacher, labels = random_case()
    terms = BPKD(terms="edge")(out(student), out(teacher), torch.zeros_like(labels))
    assert terms["edge"].item() == 0.0
    (gradient,) = torch.autograd.grad(terms["edge"], student)
    assert gradient.count_nonzero() == 0


def test_a_window_of_one_pixel_has_no_edge_and_the_body_is_cwd() -> None:
    student, teacher, labels = random_case()
    labels[:, :, :4] = 255
    body = BPKD(kernel_size=1)(out(student), out(teacher), labels)["body"]
    assert body == CWD(temperature=1.0)(out(student), out(teacher), labels)["cwd"]


def test_with_no_filter_each_class_is_kd() -> None:
    """Without either mask the edge loss is Σ_c α_c times plain kd, ignored pixels left out."""
    student, teacher, labels = random_case()
    labels[:, 8:16] = 255
    valid = torch.ones(2, 1, 9, 7, dtype=torch.bool)
    valid[:, :, 2:4] = False
    module = BPKD(
        class_weights=[1.0, 2, 3, 4, 5], terms="edge", pre_mask=False, post_mask=False,
        reduction="sum",
    )  # fmt: skip
    value = module(out(student), out(teacher), labels)["edge"]
    expected = 15 * kd(student, teacher, valid=valid)
    assert value.item() == pytest.approx(expected.item(), rel=1e-6)


@pytest.mark.parametrize(("preset", "reduction"), [(published, "mean"), (published_sum, "sum")])
def test_published_settings(preset: Callable[[], BPKD], reduction: str) -> None:
    module = preset()
    assert module.weights == {"edge": 50.0, "body": 20.0} != BPKD().weights
    assert module.pre_mask is True and module.body_pre_mask is True and module.post_mask
    assert (module.kernel_size, module.class_weights.item(), module.temperature) == (7, 2.0, 1.0)
    assert module.reduction == reduction


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"kernel_size": 4}, "kernel_size .* got 4"),
        ({"temperature": 0}, "temperature .* got 0"),
        ({"reduction": "avg"}, "reduction is one of sum, classes, mean, band, got 'avg'"),
        ({"pre_mask": "center"}, "pre_mask is one of true, false, centred, got 'center'"),
        ({"body_pre_mask": "no"}, "body_pre_mask is one of true, false, centred, got 'no'"),
        ({"terms": "egde"}, "terms is one of both, edge, body, got 'egde'"),
        ({"edges": "student"}, "edges is one of labels, teacher, both, got 'student'"),
        ({"average": True, "reduction": "mean"}, "average: true is reduction: classes"),
    ],
)
def test_wrong_arguments_are_named(arguments: dict[str, Any], words: str) -> None:
    with pytest.raises(UserError, match=words):
        BPKD(**arguments)


def test_other_classes_in_the_teacher_are_named() -> None:
    student, teacher, labels = random_case()
    with pytest.raises(UserError, match="teacher has 4 classes and the student 5"):
        BPKD()(out(student), out(teacher[:, :4]), labels)
