"""Single losses of instances, by hand; what they all keep is in test_instance_contract.py."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch.distributions import Bernoulli, kl_divergence

from bpkd.errors import UserError
from bpkd.losses.divergence import bernoulli_kl
from bpkd.losses.instance.bpkd import InstanceBPKD
from bpkd.losses.instance.kd import InstanceKD
from bpkd.losses.instance.matching import matched
from bpkd.losses.instance.outlines import label_map, object_edges
from bpkd.losses.instance.scale_bands import ScaleBands, scaled_bands, size_shares, surroundings
from bpkd.networks.base import mask_logits
from bpkd.networks.solov2.targets import FULL, LIGHT, assign_batch
from tests.losses.test_instance_contract import TARGETS, objects, output


def test_bernoulli_kl_is_torchs() -> None:
    torch.manual_seed(0)
    student, teacher = torch.randn(2, 50, dtype=torch.float64)
    expected = kl_divergence(Bernoulli(logits=teacher), Bernoulli(logits=student))
    torch.testing.assert_close(bernoulli_kl(student, teacher), expected)


def test_masks_are_matched_by_cell_where_both_learn_the_object() -> None:
    student, teacher = output(0, 4), output(1, 6)
    levels = matched(student, teacher, TARGETS, LIGHT, FULL)
    own = assign_batch(TARGETS, student, LIGHT)
    theirs = assign_batch(TARGETS, teacher, FULL)
    # 36 x 32 pixels: levels 0 and 1 of the student, level 0 alone of the teacher.
    assert 0 in own[0].levels[1].instances and 0 not in theirs[0].levels[1].instances
    assert 0 in levels[0].objects and 0 not in levels[1].objects
    cell = int(own[0].levels[0].cells[own[0].levels[0].instances == 0][0])
    kernel = teacher.kernels[0][0].flatten(1)[:, cell]
    expected = mask_logits(kernel[None], teacher.mask_features[0])[0]
    torch.testing.assert_close(levels[0].teacher[levels[0].objects == 0][0], expected)
    # The second image's only object is the batch's fourth.
    assert {int(i) for level in levels for i in level.objects} == {0, 1, 2, 3}


def test_masks_are_matched_by_object() -> None:
    student, teacher = output(0, 4), output(1, 6)
    levels = matched(student, teacher, TARGETS, LIGHT, FULL, "objects")
    theirs = assign_batch(TARGETS, teacher, FULL)
    masks = [
        mask_logits(teacher.kernels[i][0].flatten(1)[:, row.cells].T, teacher.mask_features[0])[
            row.instances == 1
        ]
        for i, row in enumerate(theirs[0].levels)
    ]
    mean = torch.cat(masks).mean(0)
    found = [level.teacher[level.objects == 1] for level in levels]
    assert sum(map(len, found)) > 1
    for each in torch.cat(found):
        torch.testing.assert_close(each, mean)


def test_the_frame_is_no_outline() -> None:
    whole = objects((0, 0, 90, 60))
    assert object_edges([whole], (64, 96), 7).sum() == 0
    half = objects((0, 0, 45, 60))
    edges = object_edges([half, objects()], (64, 96), 7)
    assert edges.shape == (1, 16, 24)
    assert set(edges[0, :15].sum(0).nonzero().flatten().tolist()) == {10, 11}  # 42 to 47
    assert edges[0, 15].sum() == 0  # below the image


def test_small_objects_lie_over_large_ones_and_crowds_are_ignored() -> None:
    both = objects((10, 10, 20, 20), (0, 0, 90, 60))._replace(crowd=torch.tensor([False, True]))
    labels = label_map(both, (64, 96), 3)
    assert labels[15, 15] == 0 and labels[30, 30] == -1 and labels[62, 0] == 3


def test_bands_grow_with_the_object() -> None:
    masks = torch.zeros(2, 200, 200, dtype=torch.bool)
    masks[0, 90:110, 90:110] = True  # a root of 20: a band of 1 at each side
    masks[1, 20:180, 20:180] = True  # 160: 8
    bands = scaled_bands(masks, 0.05)
    assert bands[0, 100].sum() == 4 and bands[1, 100].sum() == 32
    assert surroundings(masks[:1], 0.25)[0, 100].sum() == 30


@pytest.mark.parametrize("body", ["bernoulli", "spatial"])
def test_scale_bands_of_twice_the_size(body: str) -> None:
    """Kernels stay, features, objects and limits double: the terms stay."""
    small = objects((8, 8, 48, 48))  # a root of 10 at stride 4: a band of 2, then of 4
    student, teacher = output(0, 4, n=1), output(1, 6, n=1)
    masks = F.interpolate(small.masks[None].float(), scale_factor=2)[0].bool()
    large = small._replace(masks=masks, boxes=2 * small.boxes)
    doubled = [
        each._replace(
            mask_features=each.mask_features.repeat_interleave(2, 2).repeat_interleave(2, 3)
        )
        for each in (student, teacher)
    ]
    one = [(1, 999)] * 5
    given = {
        "share": 0.2,
        "margin": 0.2,
        "body": body,
        "scale_ranges": one,
        "teacher_scale_ranges": one,
    }
    terms = ScaleBands(**given)(student, teacher, [small])
    twice = ScaleBands(**given, limits=(64, 192))(*doubled, [large])
    for name, value in terms.items():
        assert twice[name].item() == pytest.approx(value.item(), rel=1e-9)


def test_sizes_objects_and_rows_count_alike() -> None:
    owners = torch.tensor([0, 0, 0, 1, 2])
    shares = size_shares(owners, torch.tensor([100, 400, 90_000, 5]), (32, 96))
    assert shares.tolist() == pytest.approx([1 / 12] * 3 + [1 / 4, 1 / 2])


def test_category_kd_grows_with_what_the_teacher_alone_sees() -> None:
    student, teacher = output(0, 4), output(1, 6)
    near = InstanceKD()(student, teacher, TARGETS)["category"]
    far = teacher._replace(category=[-3 * each for each in teacher.category])
    assert InstanceKD()(student, far, TARGETS)["category"] > near


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: InstanceBPKD(kernel_size=4), "odd number, got 4"),
        (lambda: InstanceBPKD(reduction="avg"), "one of sum, classes, mean, band, got 'avg'"),
        (lambda: InstanceKD(scale_ranges="lite"), "did you mean 'light'|light"),
        (lambda: InstanceKD(scale_ranges=[[5, 1]]), "a least and a greatest size"),
        (lambda: ScaleBands(share=0), "above 0"),
    ],
)
def test_mistakes(build, message: str) -> None:
    with pytest.raises(UserError, match=message):
        build()
