"""CrossKD in SOLOv2's heads: from the student's layers into the teacher's."""

from __future__ import annotations

import pytest
import torch

from bpkd.errors import UserError
from bpkd.losses.crosskd import crosskd
from bpkd.losses.instance.crosskd import InstanceCrossKD
from bpkd.networks import SOLOv2
from bpkd.networks.base import InstanceOutput
from tests.losses.test_instance_contract import NOBODY

SMALL = {"kernel_channels": 32, "mask_channels": 32, "pyramid_channels": 32}


def network(seed: int, **sizes: int) -> SOLOv2:
    torch.manual_seed(seed)
    given = {"channels": 32, "stacked_convs": 2, **SMALL, **sizes}
    grids, backbone = [6, 5, 4, 3, 2], "test_resnet.r160_in1k"
    return SOLOv2(3, backbone, num_grids=grids, **given).double().eval()  # type: ignore[arg-type]


def output(of: SOLOv2) -> InstanceOutput:
    draw = torch.Generator().manual_seed(9)
    found: InstanceOutput = of(torch.rand(2, 3, 64, 96, generator=draw, dtype=torch.float64))
    return found


def test_the_teacher_itself_is_all_but_at_zero() -> None:
    one = network(0)
    loss = InstanceCrossKD(one.mask_head, one.mask_head).double()
    value = loss(output(one), output(one), NOBODY)["crosskd"].item()
    assert 0 <= value < 1e-6
    other = network(1)
    cross = InstanceCrossKD(other.mask_head, one.mask_head).double()
    assert cross(output(other), output(one), NOBODY)["crosskd"].item() > 100 * value


def test_it_is_the_teachers_last_layers_on_the_students_maps() -> None:
    """By hand, of the coarsest level: through hooks on the heads as they run."""
    student, teacher = network(0), network(1)
    seen: dict[str, list[torch.Tensor]] = {"student": [], "teacher": []}
    for name, each in (("student", student), ("teacher", teacher)):
        each.mask_head.cls_convs[0].gn.register_forward_hook(  # type: ignore[union-attr]
            lambda module, given, maps, name=name: seen[name].append(maps.detach().clone())
        )
    mine, theirs = output(student), output(teacher)
    rows, wanted = [], []
    for own, taught, target in zip(*seen.values(), theirs.category, strict=True):
        std, mean = torch.std_mean(own, dim=(0, 2, 3), keepdim=True)
        std_t, mean_t = torch.std_mean(taught, dim=(0, 2, 3), keepdim=True)
        maps = ((own - mean) / (std + 1e-6) * std_t + mean_t).relu()
        head = teacher.mask_head
        rows.append(head.conv_cls(head.cls_convs[1](maps)).permute(0, 2, 3, 1).reshape(-1, 3))
        wanted.append(target.permute(0, 2, 3, 1).reshape(-1, 3))
    every = torch.cat(wanted)
    by_hand = crosskd(torch.cat(rows), every, positives=1 + every.sigmoid().sum())
    loss = InstanceCrossKD(student.mask_head, teacher.mask_head).double()
    found = loss(mine, theirs, NOBODY)["crosskd"]
    assert found.item() == pytest.approx(by_hand.item(), rel=1e-9)


def test_it_teaches_the_student_alone() -> None:
    student, teacher = network(0), network(1, channels=64, stacked_convs=3)
    loss = InstanceCrossKD(student.mask_head, teacher.mask_head, rest=2).double()
    assert len(loss.begin) == 1 and len(loss.rest) == 2
    loss(output(student), output(teacher), NOBODY)["crosskd"].backward()
    grads = {name for name, p in student.named_parameters() if p.grad is not None}
    assert {"mask_head.cls_convs.0.conv.weight", "neck.lateral_convs.0.weight"} & grads
    assert not any("conv_cls" in name or "kernel" in name for name in grads)
    assert all(p.grad is None for p in teacher.parameters())
    learnt = {name for name, p in loss.named_parameters() if p.requires_grad}
    assert learnt == {"adapter.weight", "adapter.bias"}  # the student's layers are not its own


def test_what_is_refused() -> None:
    head = network(0).mask_head
    with pytest.raises(UserError, match="rest is 2; the teacher's branch has 2"):
        InstanceCrossKD(head, head, rest=2)
