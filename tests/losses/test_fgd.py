"""FGD: the rules that losses of label maps keep, for a loss of instances; boxes and their sizes."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from torch import Tensor

from bpkd.errors import UserError
from bpkd.losses.fgd import FGD, box_masks

LEVELS = ("p2", "p3")


def outputs(seed: int, channels: int = 6, scale: float = 1.0) -> SimpleNamespace:
    draw = torch.Generator().manual_seed(seed)

    def maps(h: int, w: int) -> Tensor:
        values = torch.randn(2, channels, h, w, generator=draw, dtype=torch.float64)
        return (scale * values).requires_grad_()

    features = {"p2": maps(8, 12), "p3": maps(4, 6)}
    return SimpleNamespace(features=features, mask_features=torch.zeros(2, 4, 8, 12))


def target(*boxes: list[list[float]], size: tuple[int, int] = (32, 48)) -> list[SimpleNamespace]:
    return [
        SimpleNamespace(
            boxes=torch.tensor(each).view(-1, 4),
            crowd=torch.zeros(len(each), dtype=torch.bool),
            masks=torch.zeros(len(each), *size),
        )
        for each in boxes
    ]


def module(**options: object) -> FGD:
    torch.manual_seed(0)
    return FGD(6, 6, features=LEVELS, **options).double()  # type: ignore[arg-type]


SOME = target([[4.0, 4.0, 20.0, 12.0], [0.0, 0.0, 48.0, 32.0]], [])


def test_zero_at_the_start_where_student_equals_teacher() -> None:
    out = outputs(0)
    assert all(value.item() == pytest.approx(0) for value in module()(out, out, SOME).values())


def test_terms_gradients_and_the_teacher() -> None:
    student, teacher, loss = outputs(0), outputs(1), module()
    terms = loss(student, teacher, SOME)
    assert set(terms) == set(FGD.weights)
    torch.stack(list(terms.values())).sum().backward()
    assert all(
        maps.grad is not None and maps.grad.abs().sum() > 0 for maps in student.features.values()
    )
    assert all(maps.grad is None for maps in teacher.features.values())
    assert all(p.grad is not None for p in loss.parameters())


def test_gradcheck() -> None:
    teacher, loss = outputs(1), module()

    def total(*maps: Tensor) -> Tensor:
        student = SimpleNamespace(
            features=dict(zip(LEVELS, maps, strict=True)), mask_features=teacher.mask_features
        )
        return torch.stack(list(loss(student, teacher, SOME).values())).sum()

    assert torch.autograd.gradcheck(total, tuple(outputs(0).features.values()), fast_mode=True)


@pytest.mark.parametrize("boxes", [([], []), ([[0.0, 0.0, 48.0, 32.0]], [])])
def test_images_without_boxes_and_boxes_without_background(
    boxes: tuple[list[list[float]], ...],
) -> None:
    terms = module()(outputs(0, scale=1000.0), outputs(1, scale=1000.0), target(*boxes))
    assert all(value.isfinite() for value in terms.values())
    assert (terms["foreground"] == 0) == (not boxes[0])


def test_a_crowd_is_no_object() -> None:
    crowd = target([[4.0, 4.0, 20.0, 12.0]], [])
    crowd[0].crowd[:] = True
    assert module()(outputs(0), outputs(1), crowd)["foreground"] == 0


def test_boxes_are_where_the_objects_are_in_a_padded_batch() -> None:
    """The map covers 32 x 48; an image of 32 x 24 in it is half of it."""
    right = target([[12.0, 0.0, 23.0, 30.0]], [], size=(32, 24))
    padded = module()(outputs(0), outputs(1), right)["foreground"]
    stretched = module(boxes_over="image")(outputs(0), outputs(1), right)["foreground"]
    assert abs(padded - stretched) > 1e-3
    inside, _ = box_masks([right[0].boxes], [(32, 48)], 8, 12)
    assert inside[0].any(dim=0).nonzero().flatten().tolist() == [3, 4, 5, 6]


def test_labels_are_no_instances() -> None:
    with pytest.raises(UserError, match="needs a data set of instances"):
        module()(outputs(0), outputs(1), torch.zeros(2, 32, 48))
