"""The methods that no official numbers are at hand for, their options, and their messages."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from bpkd.errors import UserError
from bpkd.losses.cirkd import CIRKDMiniBatch
from bpkd.losses.cirkd_memory import CIRKDMemory
from bpkd.losses.cwd import CWDFeatures
from bpkd.losses.discriminator import Discriminator, SpectralConv
from bpkd.losses.dist import DIST
from bpkd.losses.dkd import DKD
from bpkd.losses.dsd import DSD
from bpkd.losses.holistic import Holistic
from bpkd.losses.kd import kd
from bpkd.losses.mgd import MGD
from bpkd.networks.base import SegOutput


def maps(*size: int, seed: int = 0) -> Tensor:
    return torch.randn(size, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def out(logits: Tensor, features: Tensor | None = None) -> SegOutput:
    return SegOutput(logits, {} if features is None else {"head": features})


def small_labels() -> Tensor:
    """(2, 4, 5) with classes 0, 1, 2 and two ignored pixels."""
    labels = torch.arange(40).view(2, 4, 5) % 3
    labels[0, 0, 0] = labels[1, 3, 4] = 255
    return labels


def test_dist_is_numpys_correlation() -> None:
    student, teacher, labels = maps(2, 3, 4, 5), maps(2, 3, 4, 5, seed=1), small_labels()
    terms = DIST(temperature=2.0)(out(student), out(teacher), labels)
    kept = labels != 255
    q = (student / 2).softmax(1).movedim(1, -1)[kept].numpy()
    p = (teacher / 2).softmax(1).movedim(1, -1)[kept].numpy()
    inter = np.mean([1 - np.corrcoef(a, b)[0, 1] for a, b in zip(q, p, strict=True)])
    intra = np.mean([1 - np.corrcoef(a, b)[0, 1] for a, b in zip(q.T, p.T, strict=True)])
    assert terms["inter"].item() == pytest.approx(4 * inter, rel=1e-9)
    assert terms["intra"].item() == pytest.approx(4 * intra, rel=1e-9)


def test_dist_does_not_see_scale_and_shift_of_probabilities() -> None:
    teacher = torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64)
    student = 0.5 * teacher + 0.5 / 3
    logits = [p.log().view(1, 3, 1, 1) for p in (student, teacher)]
    terms = DIST(ignore_index=None)(out(logits[0]), out(logits[1]), torch.zeros(1, 1, 1))
    assert terms["inter"].item() == pytest.approx(0, abs=1e-12)


def test_dkd_adds_up_to_kd() -> None:
    """KL = target + (1 - p_true) others, pixel by pixel: equation 6 of the paper."""
    student, teacher, labels = maps(1, 3, 1, 1), maps(1, 3, 1, 1, seed=1), torch.ones(1, 1, 1)
    terms = DKD(temperature=2.0)(out(student), out(teacher), labels.long())
    missing = 1 - (teacher / 2).softmax(1)[0, 1, 0, 0]
    whole = kd(student, teacher, temperature=2.0)
    assert (terms["target"] + missing * terms["others"]).item() == pytest.approx(whole.item())


def test_dkd_is_a_mean_over_labelled_pixels() -> None:
    student, teacher, labels = maps(2, 3, 4, 5), maps(2, 3, 4, 5, seed=1), small_labels()
    terms = DKD()(out(student), out(teacher), labels)
    total, count = 0.0, 0
    for n, i, j in (labels != 255).nonzero().tolist():
        at = (slice(n, n + 1), slice(None), slice(i, i + 1), slice(j, j + 1))
        one = DKD()(out(student[at]), out(teacher[at]), labels[n : n + 1, i : i + 1, j : j + 1])
        total, count = total + one["others"].item(), count + 1
    assert count == 38
    assert terms["others"].item() == pytest.approx(total / count, rel=1e-12)


def test_mgd_masks_whole_pixels_at_the_share() -> None:
    module = MGD(6, 6, masked=0.75, ignore_index=None).double()
    seen: list[Tensor] = []
    module.generator.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    student = out(maps(2, 3, 40, 50), maps(2, 6, 40, 50))
    module(student, student, torch.zeros(2, 40, 50))
    holes = (seen[0] == 0).all(dim=1)
    assert torch.equal(holes, (seen[0] == 0).any(dim=1))
    assert holes.double().mean().item() == pytest.approx(0.75, abs=0.03)


@pytest.mark.parametrize(("share", "kept"), [(0.0, True), (1.0, False)])
def test_mgd_by_formula_without_and_with_all_holes(share: float, kept: bool) -> None:
    module = MGD(4, 6, masked=share).double()
    student, teacher = maps(2, 4, 5, 5), maps(2, 6, 5, 5, seed=1)
    arguments = out(maps(2, 3, 5, 5), student), out(maps(2, 3, 5, 5), teacher)
    value = module(*arguments, torch.zeros(2, 5, 5))["mgd"]
    made = module.generator(module.adapter(student) * kept)
    assert value.item() == pytest.approx((made - teacher).square().sum().item() / 2)


def test_adapter_only_where_channels_differ() -> None:
    assert not list(CWDFeatures(6, 6).parameters())
    assert [tuple(p.shape) for p in CWDFeatures(6, 8).parameters()] == [(8, 6, 1, 1)]


def test_dsd_says_that_there_is_no_auxiliary_output() -> None:
    student = out(maps(2, 3, 4, 5), maps(2, 6, 4, 5))
    with pytest.warns(UserWarning, match="student has no auxiliary logits, psd is left out"):
        assert set(DSD()(student, student, small_labels())) == {"csd"}


def test_one_image_is_not_enough_for_the_mini_batch() -> None:
    student = out(maps(1, 3, 4, 5), maps(1, 6, 4, 5))
    with pytest.raises(UserError, match="got one: train with a batch_size of 2"):
        CIRKDMiniBatch()(student, student, small_labels()[:1])


def test_missing_features_are_named() -> None:
    student = out(maps(2, 3, 4, 5), maps(2, 6, 4, 5))
    with pytest.raises(UserError, match="teacher has no features named 'head'; it has: none"):
        CIRKDMiniBatch()(student, out(student.logits), small_labels())


@pytest.mark.parametrize("size", [(63, 80), (80, 63)])
def test_logits_below_the_discriminators_smallest(size: tuple[int, int]) -> None:
    student = out(maps(1, 3, *size))
    message = f"64x64 pixels or more, got {size[0]}x{size[1]}"
    with pytest.raises(UserError, match=message):
        Holistic(3, width=4).double()(student, student, torch.zeros(1, *size))


def test_the_discriminators_published_size() -> None:
    parameters = Discriminator(num_classes=19).parameters()
    assert sum(p.numel() for p in parameters) == 3_191_721


def test_the_discriminator_learns_to_tell_them_apart() -> None:
    torch.manual_seed(0)
    student, teacher = out(maps(2, 3, 64, 64).float()), out(maps(2, 3, 64, 64, seed=1).float() ** 2)
    module = Holistic(3, width=4, learning_rate=4e-3)
    labels = torch.zeros(2, 64, 64)
    apart = []
    for _ in range(12):
        apart.append(-module.own_step(student, teacher, labels)["discriminator"].item())
    assert not any(p.requires_grad for p in module.parameters())
    assert apart[-1] > apart[0] + 0.1


def test_the_power_iteration_moves_in_training_only() -> None:
    layer = SpectralConv(3, 8)
    start = layer.u.clone()
    layer.eval()(torch.zeros(1, 3, 8, 8))
    assert torch.equal(layer.u, start)
    layer.train()
    for _ in range(100):
        layer(torch.zeros(1, 3, 8, 8))
    largest = torch.linalg.svdvals(layer.weight.detach().flatten(1))[0].item()
    assert layer.sigma().item() == pytest.approx(largest, rel=1e-3)


def test_hinge_has_no_penalty() -> None:
    student = out(maps(1, 3, 64, 64))
    module = Holistic(3, adversarial="hinge", width=4).double()
    assert set(module.discriminator_loss(student, student, torch.zeros(1, 64, 64))) == {
        "discriminator"
    }


def test_the_memory_holds_teacher_pixels_of_each_class() -> None:
    """Features that tell the class: after some calls every stored pixel is of its class."""
    labels = small_labels()
    onehot = torch.eye(4, dtype=torch.float64)[labels.clamp(max=3)].movedim(-1, 1)
    student = out(maps(2, 3, 4, 5), onehot)
    module = CIRKDMemory(4, 4, 3, pixel_slots=24, region_slots=4).double()
    for _ in range(4):
        module(student, student, labels)
    for queue in (module.pixel_queue, module.region_queue):
        assert torch.equal(queue.argmax(dim=2), torch.arange(3)[:, None].expand(queue.shape[:2]))
    stored = module.pixel_queue.clone()
    module.eval()(student, student, labels)
    assert torch.equal(module.pixel_queue, stored)
