"""What every loss of SOLOv2's outputs keeps, for each Module of ``bpkd.losses.instance``."""

from __future__ import annotations

import copy
import inspect

import pytest
import torch
from torch import Tensor, nn

from bpkd.datasets.instances import Instances
from bpkd.errors import UserError
from bpkd.networks.base import InstanceOutput, SegOutput
from bpkd.networks.solov2.head import SOLOv2Head
from tests.losses.test_contract import ALL, SMALL, total

INSTANCE = [cls for cls in ALL if cls.__module__.startswith("bpkd.losses.instance.")]
every_loss = pytest.mark.parametrize("cls", INSTANCE, ids=lambda cls: cls.__name__)
GRIDS, SIZE, CLASSES = (6, 5, 4, 3, 2), (16, 24), 3


def output(seed: int, width: int, n: int = 2, scale: float = 1.0) -> InstanceOutput:
    """Random maps of an input of 64 x 96 pixels; kernels of a width of its own."""
    draw = torch.Generator().manual_seed(seed)

    def maps(channels: int, h: int, w: int) -> Tensor:
        made = torch.randn(n, channels, h, w, generator=draw, dtype=torch.float64)
        return (scale * made).requires_grad_()

    category = [maps(CLASSES, s, s) for s in GRIDS]
    kernels = [maps(width, s, s) for s in GRIDS]
    features = {f"p{i}": maps(4, *(side >> (i - 2) for side in SIZE)) for i in range(2, 7)}
    return InstanceOutput(category, kernels, maps(width, *SIZE), features)


def tensors(out: InstanceOutput) -> list[Tensor]:
    return [*out.category, *out.kernels, out.mask_features, *out.features.values()]


def rebuilt(values: tuple[Tensor, ...]) -> InstanceOutput:
    names = [f"p{i}" for i in range(2, 7)]
    features = dict(zip(names, values[11:], strict=True))
    return InstanceOutput(list(values[:5]), list(values[5:10]), values[10], features)


def objects(*boxes: tuple[int, int, int, int]) -> Instances:
    """Rectangles of an image of 60 x 90 pixels, of classes 0, 1, 2, 0, ..."""
    masks = torch.zeros(len(boxes), 60, 90, dtype=torch.bool)
    for mask, (x1, y1, x2, y2) in zip(masks, boxes, strict=True):
        mask[y1:y2, x1:x2] = True
    labels = torch.arange(len(boxes)) % CLASSES
    corners = torch.tensor(boxes, dtype=torch.float32).view(-1, 4)
    return Instances(masks, labels, corners, torch.zeros(len(boxes), dtype=torch.bool))


TARGETS = [
    objects((4, 4, 40, 36), (30, 10, 86, 56), (0, 0, 9, 9)),
    objects((10, 10, 70, 50)),
]
NOBODY = [objects(), objects()]


def head(seed: int) -> SOLOv2Head:
    """A head for the outputs here."""
    torch.manual_seed(seed)
    made = SOLOv2Head(
        CLASSES, 4, 32, 2, mask_channels=32, kernel_channels=32, num_grids=GRIDS
    ).double()
    for conv in made.modules():  # of a size that shows
        if isinstance(conv, nn.Conv2d):
            nn.init.normal_(conv.weight, std=0.3)
    return made


def needed(cls: type[nn.Module]) -> dict[str, object]:
    """What a loss has to be given here, and what makes it count."""
    if cls.__name__ == "InstanceCrossKD":
        return {"student_head": head(0), "teacher_head": head(1)}
    return {"overlap": 0.0} if cls.__name__ == "Ranking" else {}  # random masks overlap little


def build(cls: type[nn.Module]) -> nn.Module:
    given = needed(cls)
    torch.manual_seed(0)
    return cls(**given).double()


def call(module: nn.Module, *args: object) -> dict[str, Tensor]:
    torch.manual_seed(1)
    terms: dict[str, Tensor] = copy.deepcopy(module)(*args)
    return terms


def test_the_search_finds_the_losses() -> None:
    names = {cls.__name__ for cls in INSTANCE}
    assert names >= {"InstanceKD", "InstanceCWD", "InstanceBPKD", "ScaleBands", "Ranking"}
    assert all(cls.task == "instance" for cls in INSTANCE)


@every_loss
def test_terms_are_named_scalars_with_default_weights(cls: type[nn.Module]) -> None:
    student, teacher = output(0, 4), output(1, 6)
    terms = call(build(cls), student, teacher, TARGETS)
    assert set(terms) == set(vars(cls)["weights"])
    assert all(v.shape == () and v.isfinite() and v > 1e-8 for v in terms.values())
    grads = torch.autograd.grad(total(terms.values()), tensors(student), allow_unused=True)
    assert any(g is not None and g.abs().sum() > 0 for g in grads)


@every_loss
def test_zero_where_student_equals_teacher(cls: type[nn.Module]) -> None:
    same = {"scale_ranges": "full"} if "scale_ranges" in cls.__init__.__annotations__ else {}
    student = output(0, 4)
    if cls.__name__ == "InstanceCrossKD":
        pytest.skip("the category grids here are random, not what the heads make of the features")
    module = cls(**same, **needed(cls))
    if hasattr(module, "matching"):  # the mean of several cells' masks is none of theirs
        module.matching.match = "cells"
    value = total(call(module, student, student, TARGETS).values()).item()
    assert value == pytest.approx(0, abs=1e-12)


@every_loss
def test_no_gradient_to_the_teacher(cls: type[nn.Module]) -> None:
    student, teacher = output(0, 4), output(1, 6)
    terms = call(build(cls), student, teacher, TARGETS)
    total(terms.values()).backward()
    assert all(each.grad is None for each in tensors(teacher))


@every_loss
def test_gradcheck(cls: type[nn.Module]) -> None:
    student, teacher, module = output(0, 4), output(1, 6), build(cls)

    def loss(*values: Tensor) -> Tensor:
        return total(call(module, rebuilt(values), teacher, TARGETS).values())

    assert torch.autograd.gradcheck(loss, tuple(tensors(student)), fast_mode=True, atol=1e-4)


@every_loss
def test_what_leaves_the_masks_as_they_are_leaves_the_loss(cls: type[nn.Module]) -> None:
    """Features A F and kernels A⁻ᵀ G: other numbers, the same masks."""
    student, teacher, module = output(0, 4), output(1, 6), build(cls)

    def turned(out: InstanceOutput, seed: int) -> InstanceOutput:
        width = out.mask_features.shape[1]
        draw = torch.Generator().manual_seed(seed)
        a = torch.randn(width, width, generator=draw, dtype=torch.float64) + 3 * torch.eye(width)
        back = torch.linalg.inv(a).T
        kernels = [torch.einsum("de,nehw->ndhw", back, each) for each in out.kernels]
        features = torch.einsum("de,nehw->ndhw", a, out.mask_features)
        return out._replace(kernels=kernels, mask_features=features)

    terms = call(module, student, teacher, TARGETS)
    again = call(module, turned(student, 5), turned(teacher, 6), TARGETS)
    for name, value in terms.items():
        assert again[name].item() == pytest.approx(value.item(), rel=1e-8)


@every_loss
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_finite_where_all_is_certain_and_in_half_precision(
    cls: type[nn.Module], dtype: torch.dtype
) -> None:
    outputs = [
        rebuilt(tuple((100 * t.detach().sign()).to(dtype).requires_grad_() for t in tensors(out)))
        for out in (output(0, 4), output(1, 6))
    ]
    module = build(cls).float()
    if hasattr(module, "student_head"):  # the student's own, so no part of the module
        module.student_head.float()
    terms = call(module, *outputs, TARGETS)
    assert all(value.isfinite() for value in terms.values())
    total(terms.values()).backward()
    assert all(t.grad is None or t.grad.isfinite().all() for t in tensors(outputs[0]))


@every_loss
def test_a_batch_without_objects_backpropagates(cls: type[nn.Module]) -> None:
    student, teacher = output(0, 4), output(1, 6)
    terms = call(build(cls), student, teacher, NOBODY)
    total(terms.values()).backward()
    assert all(value.isfinite() for value in terms.values())
    assert all(t.grad is None or t.grad.isfinite().all() for t in tensors(student))
    assert any(t.grad is not None for t in tensors(student))


@every_loss
def test_an_image_without_objects_and_crowds_teach_no_masks(cls: type[nn.Module]) -> None:
    student, teacher, module = output(0, 4), output(1, 6), build(cls)
    crowd = TARGETS[1]._replace(crowd=torch.tensor([True]))
    masks = [name for name in vars(cls)["weights"] if "mask" in name or "category" not in name]
    some = call(module, student, teacher, [TARGETS[0], objects()])
    same = call(module, student, teacher, [TARGETS[0], crowd])
    for name in masks:
        assert same[name].item() == pytest.approx(some[name].item(), rel=1e-9)


@every_loss
def test_a_teacher_of_other_grids_is_refused(cls: type[nn.Module]) -> None:
    student, teacher = output(0, 4), output(1, 6)
    other = teacher._replace(category=[each[:, :2] for each in teacher.category])
    with pytest.raises(UserError, match="same images, classes and grids"):
        build(cls)(student, other, TARGETS)


@every_loss
def test_networks_that_find_no_objects_are_refused(cls: type[nn.Module]) -> None:
    maps = torch.zeros(2, 3, 4, 4)
    with pytest.raises(
        UserError, match=r"the teacher gives SegOutput; losses of bpkd\.losses\.inst"
    ):
        build(cls)(output(0, 4), SegOutput(maps, {}), TARGETS)


@pytest.mark.parametrize(
    "cls", [cls for cls in ALL if not hasattr(cls, "task")], ids=lambda cls: cls.__name__
)
def test_losses_of_no_task_learn_from_features_of_either(cls: type[nn.Module]) -> None:
    asked = inspect.signature(cls).parameters
    level = {"feature": "p2", "features": ["p2"], "student_channels": 4, "teacher_channels": 4}
    module = cls(**{k: v for k, v in {**SMALL, **level}.items() if k in asked}).double()
    terms = call(module, output(0, 4), output(1, 6), TARGETS)
    assert set(terms) == set(vars(cls)["weights"])
    assert all(value.shape == () and value.isfinite() for value in terms.values())
