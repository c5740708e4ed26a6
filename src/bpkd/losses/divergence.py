"""Kullback-Leibler divergences: between softmaxes, with the gradient written out, and sigmoids."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable


def kl_divergence(student: Tensor, teacher: Tensor, dim: int) -> Tensor:
    """KL(softmax(teacher) ‖ softmax(student)) along one dimension.

    With p = softmax(teacher), q = softmax(student) and lse the log of the sum of exponentials,
    KL = Σ p (teacher - student) - lse(teacher) + lse(student), and its gradient with respect to
    student is q - p. So two exponentials an element serve value and gradient, where automatic
    differentiation of the definition takes five, and no logarithm of a probability is taken.

    Args:
        student: logits of any shape.
        teacher: logits of the same shape; no gradient flows to them.
        dim: the dimension that the distributions run along.

    Returns:
        The divergences, without that dimension; 0 where both are equal.

    Example:
        >>> teacher = torch.tensor([0.75, 0.25]).log()
        >>> kl = kl_divergence(torch.zeros(2), teacher, dim=0)  # 0.75 log 1.5 + 0.25 log 0.5
        >>> round(kl.item(), 4)
        0.1308
    """
    divergence: Tensor = _Divergence.apply(student, teacher.detach(), dim)
    return divergence


def bernoulli_kl(student: Tensor, teacher: Tensor) -> Tensor:
    """KL(sigmoid(teacher) ‖ sigmoid(student)) of each pair of logits.

    With p = sigmoid(teacher) it is p (teacher - student) + log(1 + e^student) - log(1 + e^teacher);
    its gradient with respect to student is sigmoid(student) - p.

    Args:
        student: logits of any shape.
        teacher: logits of the same shape; no gradient flows to them.

    Example:
        >>> teacher = torch.tensor(3.0).log()  # 0.75: 0.75 log 1.5 + 0.25 log 0.5
        >>> round(bernoulli_kl(torch.tensor(0.0), teacher).item(), 4)
        0.1308
    """
    teacher = teacher.detach()
    return teacher.sigmoid() * (teacher - student) + F.softplus(student) - F.softplus(teacher)


class _Divergence(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, student: Tensor, teacher: Tensor, dim: int) -> Tensor:
        exp_s, total_s, lse_s = _exponentials(student, dim)
        exp_t, total_t, lse_t = _exponentials(teacher, dim)
        divergence = (teacher - student).mul_(exp_t).sum(dim, keepdim=True).div_(total_t)
        divergence += lse_s - lse_t
        ctx.dim = dim
        ctx.save_for_backward(exp_s.div_(total_s).addcdiv_(exp_t, total_t, value=-1))
        return divergence.squeeze(dim)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        (difference,) = ctx.saved_tensors
        return difference * gradient.unsqueeze(ctx.dim), None, None


def _exponentials(logits: Tensor, dim: int) -> tuple[Tensor, Tensor, Tensor]:
    """exp(logits - largest), its sum, and the log of the sum of exp(logits)."""
    largest = logits.amax(dim, keepdim=True)
    exponentials = (logits - largest).exp_()
    total = exponentials.sum(dim, keepdim=True)
    return exponentials, total, total.log() + largest
