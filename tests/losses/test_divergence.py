"""The divergence with its gradient written out, against the definition."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from bpkd.losses.divergence import kl_divergence


@pytest.mark.parametrize("dim", [0, 1, 2, -1])
def test_value_and_gradient_equal_the_definition(dim: int) -> None:
    torch.manual_seed(dim + 5)
    student = (4 * torch.randn(3, 4, 5, dtype=torch.float64)).requires_grad_()
    teacher = 4 * torch.randn(3, 4, 5, dtype=torch.float64)
    log_p, log_q = F.log_softmax(teacher, dim), F.log_softmax(student, dim)
    expected = (log_p.exp() * (log_p - log_q)).sum(dim)
    found = kl_divergence(student, teacher, dim)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)
    weights = torch.rand_like(expected)
    (ours,) = torch.autograd.grad((found * weights).sum(), student)
    (theirs,) = torch.autograd.grad((expected * weights).sum(), student)
    torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)
    assert torch.autograd.gradcheck(lambda z: kl_divergence(z, teacher, dim), student)


def test_far_logits_are_finite_and_equal_ones_give_zero() -> None:
    far = torch.tensor([[1000.0, -1000.0, 0.0]], requires_grad=True)
    value = kl_divergence(far, -far, dim=1)
    (gradient,) = torch.autograd.grad(value.sum(), far)
    assert value.item() == 2000.0
    assert gradient.tolist() == [[1.0, -1.0, 0.0]]
    assert kl_divergence(far, far, dim=1).item() == 0.0


def test_no_gradient_flows_to_the_teacher() -> None:
    student, teacher = torch.randn(2, 3, requires_grad=True), torch.randn(2, 3, requires_grad=True)
    kl_divergence(student, teacher, dim=1).sum().backward()
    assert student.grad is not None
    assert teacher.grad is None
