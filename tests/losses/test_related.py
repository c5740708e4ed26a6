"""Similarities by parts of their rows: the numbers and gradients of the whole."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from bpkd.losses import related
from bpkd.losses.divergence import kl_divergence
from bpkd.losses.related import related_kl


def whole(
    student: list[Tensor], teacher: list[Tensor], weights: Tensor, block: int, valid: Tensor
) -> Tensor:
    """The definition, all similarities at once."""
    ours, theirs = (
        (rows @ columns).masked_fill(~valid, -1e4).view(len(rows), -1, block)
        for rows, columns in (student, teacher)
    )
    return (kl_divergence(ours, theirs, dim=2).sum(dim=1) * weights).sum()


@pytest.mark.parametrize("held", [1, 7 * 12 * 2, 2**20])
def test_parts_are_the_whole(monkeypatch: pytest.MonkeyPatch, held: int) -> None:
    monkeypatch.setattr(related, "_CPU", held)
    draw = torch.Generator().manual_seed(0)

    def drawn(*size: int) -> Tensor:
        return torch.randn(*size, generator=draw, dtype=torch.float64)

    student, teacher = [drawn(7, 3), drawn(3, 12)], [drawn(7, 5), drawn(5, 12)]
    weights, valid = drawn(7).abs(), torch.arange(12) % 5 != 0
    for maps in student:
        maps.requires_grad_()
    one = whole(student, teacher, weights, 4, valid)
    other = related_kl((student[0], student[1]), (teacher[0], teacher[1]), weights, 4, valid)
    torch.testing.assert_close(other, one)
    wanted = torch.autograd.grad(3 * one, student)
    for found, gradient in zip(torch.autograd.grad(3 * other, student), wanted, strict=True):
        torch.testing.assert_close(found, gradient)


def test_nothing_to_compare_is_nothing() -> None:
    rows = torch.zeros(0, 3, requires_grad=True)
    total = related_kl((rows, torch.zeros(3, 4)), (rows, torch.zeros(3, 4)), torch.zeros(0), 4)
    total.backward()  # type: ignore[no-untyped-call]
    assert total.item() == 0
    assert rows.grad is not None
    assert rows.grad.shape == (0, 3)


def test_without_a_gradient_none_is_made() -> None:
    rows, columns = torch.ones(2, 3), torch.ones(3, 4)
    total = related_kl((rows, columns), (rows, columns), torch.ones(2), 4)
    assert not total.requires_grad
    assert total.item() == 0
