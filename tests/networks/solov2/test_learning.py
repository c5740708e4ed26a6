"""SOLOv2's targets and loss where objects are few, tiny, many, crowds or outside."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torchvision.ops import sigmoid_focal_loss

from bpkd.datasets.instances import Instances
from bpkd.errors import UserError
from bpkd.losses.instance.bpkd import InstanceBPKD
from bpkd.losses.instance.cwd import InstanceCWD
from bpkd.losses.instance.kd import InstanceKD
from bpkd.losses.instance.membership import Membership
from bpkd.losses.instance.ranking import Ranking
from bpkd.losses.instance.scale_bands import ScaleBands
from bpkd.networks.solov2.loss import focal, solov2_loss
from bpkd.networks.solov2.targets import LIGHT, assign, assign_batch, reduced
from tests.networks.solov2.test_network import tiny

GRIDS = (40, 36, 24, 16, 12)


def instances(masks: torch.Tensor, boxes: list[list[float]] | None = None) -> Instances:
    k = len(masks)
    corners = torch.tensor(boxes or [[0.0, 0, 40, 40]] * k, dtype=torch.float32).view(-1, 4)
    return Instances(masks, torch.arange(k) % 3, corners, torch.zeros(k, dtype=torch.bool))


def empty(h: int, w: int) -> Instances:
    return instances(torch.zeros(0, h, w, dtype=torch.bool))


def test_reducing_is_bilinear_cut_at_a_half() -> None:
    masks = torch.rand(5, 32, 64, generator=torch.Generator().manual_seed(0)) > 0.5
    resized = F.interpolate(masks[None].double(), scale_factor=0.25, mode="bilinear")[0]
    assert torch.equal(reduced(masks), resized >= 0.5)


def test_one_pixel() -> None:
    masks = torch.zeros(1, 64, 96, dtype=torch.bool)
    masks[0, 20, 50] = True
    found = assign(instances(masks, [[50, 20, 51, 21]]), (64, 96), 3, GRIDS, LIGHT)
    level = found.levels[0]
    assert level.cells.tolist() == [12 * 40 + 20]  # 20 / 64 of 40 rows, 50 / 96 of 40 columns
    assert not found.masks.any()  # nothing is left of it at stride 4, yet its class counts
    assert int((level.labels < 3).sum()) == 1


def test_too_small_too_large_and_empty() -> None:
    masks = torch.ones(3, 64, 64, dtype=torch.bool)
    masks[2] = False
    found = assign(
        instances(masks, [[0, 0, 0.5, 0.5], [0, 0, 2000, 2000], [0, 0, 40, 40]]),
        (64, 64), 3, GRIDS, LIGHT,
    )  # fmt: skip
    assert all(len(level.cells) == 0 and (level.labels == 3).all() for level in found.levels)


def test_crowds_teach_nothing() -> None:
    masks = torch.ones(2, 64, 64, dtype=torch.bool)
    both = instances(masks)._replace(crowd=torch.tensor([True, False]))
    found = assign(both, (64, 64), 3, GRIDS, LIGHT)
    assert {int(i) for level in found.levels for i in level.instances} == {1}


def test_of_two_in_one_cell_the_later_labels_and_both_keep_their_masks() -> None:
    masks = torch.zeros(2, 64, 64, dtype=torch.bool)
    masks[:, 20:40, 20:40] = True
    boxes = [[20.0, 20, 40, 40]] * 2
    level = assign(instances(masks, boxes), (64, 64), 3, GRIDS, LIGHT).levels[0]
    half = len(level.cells) // 2
    assert level.cells[:half].tolist() == level.cells[half:].tolist()
    assert level.instances.tolist() == [0] * half + [1] * half
    assert (level.labels[level.labels < 3] == 1).all()


def test_more_than_a_hundred() -> None:
    masks = torch.zeros(150, 128, 128, dtype=torch.bool)
    boxes = []
    for i in range(150):
        y, x = 8 * (i // 15), 8 * (i % 15)
        masks[i, y : y + 7, x : x + 7] = True
        boxes.append([x, y, x + 7, y + 7])
    level = assign(instances(masks, boxes), (128, 128), 3, GRIDS, LIGHT).levels[0]
    assert set(level.instances.tolist()) == set(range(150))


def test_mistakes() -> None:
    masks = torch.ones(1, 70, 64, dtype=torch.bool)
    with pytest.raises(UserError, match="70 x 64 pixels do not fit an input of 64 x 64"):
        assign(instances(masks), (64, 64), 3)
    wrong = instances(masks[:, :64])._replace(labels=torch.tensor([7]))
    with pytest.raises(UserError, match=r"labels \[7\]; expected 0 .. 2"):
        assign(wrong, (64, 64), 3)


def test_focal_is_torchvisions() -> None:
    logits = torch.randn(40, 5, generator=torch.Generator().manual_seed(0)).double()
    labels = torch.arange(40) % 6
    target = F.one_hot(labels, 6)[:, :5].double()
    expected = sigmoid_focal_loss(logits, target, 0.25, 2.0, reduction="sum")
    torch.testing.assert_close(focal(logits, labels), expected)


def test_batches_of_different_numbers_and_of_nothing() -> None:
    network = tiny(scale_ranges="light").train()
    output = network(torch.rand(2, 3, 50, 70))
    masks = torch.zeros(2, 50, 70, dtype=torch.bool)
    masks[:, 10:40, 10:50] = True
    targets = [instances(masks), empty(50, 70)]
    both = solov2_loss(output, assign_batch(targets, output, network.scale_ranges))
    swapped = [part.flip(0) for part in (output.mask_features,)]
    turned = output._replace(
        category=[each.flip(0) for each in output.category],
        kernels=[each.flip(0) for each in output.kernels],
        mask_features=swapped[0],
    )
    again = solov2_loss(turned, assign_batch(targets[::-1], turned, network.scale_ranges))
    for name, value in both.items():
        assert again[name].item() == pytest.approx(value.item(), rel=1e-5)
    nothing = solov2_loss(output, assign_batch([empty(50, 70)] * 2, output))
    assert nothing["mask"].item() == 0 and nothing["category"] > 0
    sum(nothing.values()).backward()
    # Every parameter has a gradient, so processes that train together do not wait for one.
    assert all(p.grad is not None and p.grad.isfinite().all() for p in network.parameters())


def test_a_number_of_targets_that_is_not_the_batchs() -> None:
    output = tiny()(torch.rand(2, 3, 32, 32))
    with pytest.raises(UserError, match="2 images have 1 targets"):
        assign_batch([empty(32, 32)], output)
    with pytest.raises(UserError, match=r"expected 0 \.\. 2"):
        one = instances(torch.ones(1, 32, 32, dtype=torch.bool))._replace(labels=torch.tensor([3]))
        assign_batch([one, one], output)


def test_it_overfits_one_object() -> None:
    torch.manual_seed(0)
    network = tiny(num_grids=[8, 8, 6, 4, 3]).train()
    images = torch.rand(1, 3, 64, 64) * 0.1
    masks = torch.zeros(1, 64, 64, dtype=torch.bool)
    masks[0, 16:48, 8:56] = True
    images[:, :, masks[0]] += 0.8
    targets = [instances(masks, [[8, 16, 56, 48]])]
    optimizer = torch.optim.AdamW(network.parameters(), lr=3e-3)
    values = []
    for _ in range(25):
        output = network(images)
        terms = solov2_loss(output, assign_batch(targets, output, network.scale_ranges))
        loss = terms["mask"] + terms["category"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        values.append(terms["mask"].item())
    assert values[-1] < 0.3 * values[0]


def test_every_loss_of_instances_teaches_a_student() -> None:
    """Two networks of other widths and sizes: one step of all losses together."""
    losses = [InstanceKD(), InstanceCWD(), InstanceBPKD(), ScaleBands(), Membership()]
    losses.append(Ranking(overlap=0.0))
    student = tiny(scale_ranges="light").train()
    teacher = tiny(scale_ranges="full", kernel_channels=64, channels=64).eval()
    images = torch.rand(2, 3, 70, 90)
    masks = torch.zeros(2, 70, 90, dtype=torch.bool)
    masks[0, 5:40, 10:60] = masks[1, 30:70, 40:90] = True
    targets = [instances(masks, [[10, 5, 60, 40], [40, 30, 90, 70]]), empty(70, 90)]
    output = student(images)
    with torch.no_grad():
        taught = teacher(images)
    values = [value for loss in losses for value in loss(output, taught, targets).values()]
    torch.stack(values).sum().backward()
    assert all(value > 0 for value in values)
    assert all(p.grad is not None and p.grad.isfinite().all() for p in student.parameters())


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_does_not_overflow(dtype: torch.dtype) -> None:
    network = tiny()
    output = network(torch.rand(1, 3, 64, 64))
    large = output._replace(
        category=[each.to(dtype) for each in output.category],
        kernels=[torch.full_like(each, 100, dtype=dtype) for each in output.kernels],
        mask_features=torch.full_like(output.mask_features, 100, dtype=dtype),
    )
    for target in (empty(64, 64), instances(torch.ones(1, 64, 64, dtype=torch.bool))):
        terms = solov2_loss(large, assign_batch([target], large))
        assert all(value.isfinite() and value.dtype == torch.float32 for value in terms.values())
