"""The methods after BPKD: options, what they leave out, and what they say of a mistake."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from bpkd.errors import UserError
from bpkd.losses.afdcd import AfDCD
from bpkd.losses.afdcd_contrast import afdcd_contrast
from bpkd.losses.cirkd_channel import CIRKDChannel
from bpkd.losses.cwd import CWDLevels, cwd
from bpkd.losses.kt import KT
from bpkd.losses.kt_features import KTFeatures
from bpkd.losses.maskd import MasKD
from bpkd.losses.maskd_levels import MasKDLevels
from bpkd.losses.pkd import PKD
from bpkd.networks.base import SegOutput


def maps(*size: int, seed: int = 0) -> Tensor:
    return torch.randn(size, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def out(*size: int, seed: int = 0, **features: Tensor) -> SegOutput:
    return SegOutput(maps(*size, seed=seed), features or {"head": maps(*size, seed=seed + 9)})


LABELS = torch.arange(2 * 16 * 16).view(2, 16, 16) % 3


def slow_contrast(student: Tensor, teacher: Tensor, groups: int, valid: Tensor) -> float:
    """One patch of the whole map, pixel by pixel and group by group, τ = 1."""
    _, d, h, w = student.shape
    pixels = [(i, j) for i in range(h) for j in range(w) if valid[0, 0, i, j]]
    parts = [slice(k * d // groups, (k + 1) * d // groups) for k in range(groups)]
    total = 0.0
    for i, j in pixels:
        for k, part in enumerate(parts):
            anchor = student[0, part, i, j]
            terms = [-(anchor - teacher[0, part, i, j]).abs().sum()]
            terms += [
                -(anchor - teacher[0, other, a, b]).abs().sum()
                for a, b in pixels
                for index, other in enumerate(parts)
                if index != k
            ]
            total += float(torch.stack(terms).logsumexp(0) - terms[0])
    return total / len(pixels)


def test_afdcds_contrast_by_its_definition_and_without_ignored_pixels() -> None:
    student, teacher = maps(1, 6, 4, 5), maps(1, 6, 4, 5, seed=1)
    valid = torch.ones(1, 1, 4, 5, dtype=torch.bool)
    for ignored in (0, 3):
        valid[..., :ignored] = False
        found = afdcd_contrast(student, teacher, 3, 1, (4, 5), 1.0, valid=valid)
        expected = slow_contrast(student, teacher, 3, valid)
        assert found.item() == pytest.approx(expected, rel=1e-9)


def test_afdcd_drops_what_no_patch_covers() -> None:
    student, teacher = maps(2, 4, 19, 17), maps(2, 4, 19, 17, seed=1)
    whole = afdcd_contrast(student, teacher, 2, 1)
    cut = afdcd_contrast(student[..., :16, :16], teacher[..., :16, :16], 2, 1)
    assert torch.equal(whole, cut)


def test_afdcd_says_what_does_not_fit() -> None:
    with pytest.raises(UserError, match="divides the teacher's 6 channels, got 16"):
        AfDCD(6, 6)
    small = out(2, 6, 12, 40)
    with pytest.raises(UserError, match="12 x 40 hold no patch of 4 x 4 blocks of 4 x 4 pixels"):
        AfDCD(6, 6, groups=2).double()(small, small, LABELS)
    with pytest.raises(UserError, match=r"share of pixels in \[0, 1\], got 2"):
        AfDCD(6, 6, groups=2, masked=2.0)


def test_afdcds_holes() -> None:
    block = AfDCD(6, 6, groups=2, mask="block").holes(maps(2, 6, 9, 12))
    assert (block == 0).sum() == 3 * 4
    random = AfDCD(6, 6, groups=2, masked=0.25).holes(maps(2, 6, 90, 120))
    assert random.mean().item() == pytest.approx(0.75, abs=0.03)


def test_kt_with_void_left_out_is_the_loss_of_the_rest() -> None:
    student, teacher = out(2, 3, 16, 16), out(2, 3, 16, 16, seed=1)
    labels = LABELS.clone()
    labels[:, 12:] = 255
    found = KT(void="left_out")(student, teacher, labels)
    cut = [SegOutput(each.logits[:, :, :12], {}) for each in (student, teacher)]
    expected = KT()(*cut, labels[:, :12])
    for name, value in expected.items():
        assert found[name].item() == pytest.approx(value.item(), rel=1e-9)
    assert abs(KT()(student, teacher, labels)["whole"] - expected["whole"]) > 1e-3


def test_kt_wants_as_many_classes() -> None:
    with pytest.raises(UserError, match="the teacher has 4 classes and the student 3"):
        KT()(out(2, 3, 4, 4), out(2, 4, 4, 4), LABELS)


def test_kts_features_turn_round_after_so_many_calls() -> None:
    module = KTFeatures(6, 8, early_iters=2).double()
    student, teacher = out(2, 6, 5, 5), out(2, 8, 5, 5, seed=1)
    values = [module(student, teacher, LABELS[:, :5, :5])["features"].item() for _ in range(4)]
    assert values[0] == values[1] != values[2] == values[3]
    assert not any(parameter.requires_grad for parameter in module.parameters())


def test_maskd_without_auxiliary_logits() -> None:
    module = MasKD(3).double()
    assert set(module(out(2, 3, 4, 4), out(2, 3, 4, 4, seed=1), LABELS)) == {"maskd"}


def test_maskd_on_levels_takes_the_students_masks_after_the_warmup() -> None:
    module = MasKDLevels(6, 6, warmup=2, features=["head"]).double()
    given = out(2, 6, 5, 5), out(2, 6, 5, 5, seed=1), None
    values = [module(*given)["maskd_levels"].item() for _ in range(4)]
    assert values[0] == values[1] > values[2] == values[3]
    assert module.eval()(*given)["maskd_levels"].item() == values[3] and module.calls == 4


def test_cirkds_channels_are_of_one_crop_size() -> None:
    module = CIRKDChannel(6, 6, slots=30).double()
    module(out(2, 6, 8, 8), out(2, 6, 8, 8, seed=1), LABELS)
    with pytest.raises(UserError, match="channels of 4 blocks and got 6: train with one crop size"):
        module(out(2, 6, 8, 12), out(2, 6, 8, 12, seed=1), LABELS)


def test_cirkds_queue_of_channels_is_filled_with_the_teachers() -> None:
    module = CIRKDChannel(6, 6, slots=30).double()
    given = out(2, 6, 8, 8), out(2, 6, 8, 8, seed=1), LABELS[:, :8, :8]
    for _ in range(3):  # 12 rows a call; the third reaches the end and takes the last 12
        module(*given)
    assert module.next == 0
    pooled = torch.nn.functional.avg_pool2d(given[1].features["head"], 4).flatten(2).flatten(0, 1)
    rows = torch.nn.functional.normalize(pooled, dim=1)
    near = (module.queue @ rows.T).amax(dim=1)
    assert (near > 1 - 1e-9).all()
    stored = module.queue.clone()
    module.eval()(*given)
    assert torch.equal(module.queue, stored)


def test_levels_are_added_up_each_with_its_channels() -> None:
    student = out(2, 3, 4, 4, a=maps(2, 5, 8, 8), b=maps(2, 6, 4, 4))
    teacher = out(2, 3, 4, 4, a=maps(2, 5, 8, 8, seed=1), b=maps(2, 9, 4, 4, seed=1))
    module = CWDLevels([5, 6], [5, 9], features=["a", "b"]).double()
    total = module(student, teacher, None)["cwd_levels"]
    adapted = module.adapters[1](student.features["b"])
    parts = [(student.features["a"], "a"), (adapted, "b")]
    expected = sum(cwd(mine, teacher.features[name], 1.0) for mine, name in parts)
    assert total.item() == pytest.approx(float(expected), rel=1e-12)
    with pytest.raises(UserError, match=r"channels for each; got \['a', 'b'\] and \[5\]"):
        PKD([5], [5, 9], features=["a", "b"])


def test_pkd_does_not_see_level_and_size_of_a_channel() -> None:
    teacher = out(2, 6, 5, 5)
    moved = 3 * teacher.features["head"] + torch.arange(6.0).view(1, 6, 1, 1)
    loss = PKD(6, 6)(out(2, 6, 5, 5, head=moved), teacher, LABELS[:, :5, :5])["pkd"]
    assert loss.item() == pytest.approx(0, abs=1e-11)
