"""Divergences between similarities of many pixels with many, none of which is kept.

All similarities of a batch are the square of its pixels. Here a part of their rows is made, used
and forgotten while it is still in the cache; what is kept is the gradient with respect to
the features, which is as small as they are.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

# Far below any similarity, yet finite: its softmax is 0 and differences of it are not nan.
_NOWHERE = -1e4
#: Similarities that are made at once.
_CPU, _GPU = 2**18, 2**25


def related_kl(
    student: tuple[Tensor, Tensor],
    teacher: tuple[Tensor, Tensor],
    weights: Tensor,
    block: int,
    valid: Tensor | None = None,
) -> Tensor:
    """Σ_r w_r Σ_b KL(softmax of block b of row r of the teacher's A B ‖ of the student's A B).

    Args:
        student: A (R, D) and B (D, M), M a multiple of the block.
        teacher: A (R, D') and B (D', M); no gradient flows to them.
        weights: w (R,); no gradient flows to them.
        block: so many columns share a softmax.
        valid: (M,) booleans, the columns that count; None for all.

    Returns:
        A scalar, differentiable once with respect to the student's A and B.

    Example:
        >>> ours = torch.zeros(1, 1), torch.zeros(1, 2)  # (1/2, 1/2)
        >>> theirs = torch.ones(1, 1), torch.tensor([[0.75, 0.25]]).log()
        >>> round(related_kl(ours, theirs, torch.ones(1), block=2).item(), 4)
        0.1308
    """
    tensors = (*student, *(maps.detach().to(student[0].dtype) for maps in teacher))
    total: Tensor = _Related.apply(*tensors, weights.detach(), block, valid)
    return total


class _Related(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        rows: Tensor,
        columns: Tensor,
        their_rows: Tensor,
        their_columns: Tensor,
        weights: Tensor,
        block: int,
        valid: Tensor | None,
    ) -> Tensor:
        wanted = ctx.needs_input_grad[:2]
        slopes = [torch.zeros_like(x) if w else None for x, w in zip((rows, columns), wanted)]  # noqa: B905
        total = rows.new_zeros(())
        hidden = _hidden(valid, block)
        held = _GPU if rows.is_cuda else _CPU
        step = max(1, held // columns.shape[1])
        # The same memory for all parts: fresh pages would cost as much as what is done with them.
        room = rows.new_empty(4, min(step, len(rows)), columns.shape[1])
        for first in range(0, len(rows), step):
            part = slice(first, first + step)
            raw, their_raw, ours, theirs = room[:, : len(rows[part])]
            ours_lse = _softmax(rows[part], columns, block, hidden, raw, ours)
            their_lse = _softmax(their_rows[part], their_columns, block, hidden, their_raw, theirs)
            # Σ p_t (log p_t - log p_s), and log p = similarity - lse.
            difference = their_raw.sub_(raw).mul_(theirs).sum(dim=1)
            total += ((difference + ours_lse - their_lse) * weights[part]).sum()
            if not any(wanted):
                continue
            slope, weight = ours.sub_(theirs), weights[part, None]
            if slopes[0] is not None:
                torch.mm(slope, columns.T, out=slopes[0][part]).mul_(weight)
            if slopes[1] is not None:
                slopes[1].addmm_((rows[part] * weight).T, slope)
        ctx.save_for_backward(*slopes)
        return total

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        slopes = (None if slope is None else slope * gradient for slope in ctx.saved_tensors)
        return (*slopes, None, None, None, None, None)


def _hidden(valid: Tensor | None, block: int) -> Tensor | None:
    """(1, blocks, block) booleans, the columns that do not count; None where all do."""
    if valid is None or (not valid.is_cuda and bool(valid.all())):  # a GPU is not waited for
        return None
    return ~valid.view(1, -1, block)


def _softmax(
    rows: Tensor, columns: Tensor, block: int, hidden: Tensor | None, raw: Tensor, out: Tensor
) -> Tensor:
    """Writes similarities and their softmax by blocks -> the sum over blocks of its lse (R,)."""
    torch.mm(rows, columns, out=raw)
    raw, out = (each.view(len(rows), -1, block) for each in (raw, out))
    if hidden is not None:
        raw.masked_fill_(hidden, _NOWHERE)
    torch.softmax(raw, dim=2, out=out)
    # The largest probability is far from 0, so its logarithm is exact.
    return (raw.amax(dim=2) - out.amax(dim=2).log()).sum(dim=1)
