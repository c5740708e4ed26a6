"""MasKD: logits follow the teacher's, region by region, with regions that learnt tokens pick.

Huang et al., Masked Distillation with Receptive Tokens, ICLR 2023; the version for segmentation.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bpkd.losses.common import Output, as_output, full_precision, labelled_pixels, like_student
from bpkd.losses.tokens import OwnLoss, learn_tokens, read_tokens, teaching_in


def receptive_masks(maps: Tensor, tokens: Tensor) -> Tensor:
    """Where each token looks: sigmoid of its product with each pixel.

    Args:
        maps: (N, C, h, w).
        tokens: (K, C).

    Returns:
        (N, K, h, w) in [0, 1].

    Example:
        >>> receptive_masks(torch.ones(1, 2, 1, 1), torch.tensor([[0.0, 0.0]]))
        tensor([[[[0.5000]]]])
    """
    return F.conv2d(maps, tokens[:, :, None, None].to(maps.dtype)).sigmoid()


def maskd(student: Tensor, teacher: Tensor, masks: Tensor, valid: Tensor | None = None) -> Tensor:
    """½ / (N K C) Σ_nkc [Σ_p m² (student - teacher)² / (Σ_p m + 1e-5)].

    The mask is squared above the line and not below, as in the authors' code.

    Args:
        student: logits (N, C, h, w).
        teacher: logits of the same shape; no gradient flows to them.
        masks: m (N, K, h, w), of the teacher's logits.
        valid: (N, 1, h, w) booleans, the pixels that count; None for all.

    Returns:
        A scalar >= 0.

    Example:
        >>> student = torch.tensor([[[[1.0, 2.0]]]])  # m = ½: ½ (1/4 + 4/4) / (1 + 1e-5)
        >>> value = maskd(student, torch.zeros(1, 1, 1, 2), torch.full((1, 1, 1, 2), 0.5))
        >>> round(value.item(), 5)
        0.62499
    """
    masks = masks.detach()
    if valid is not None:
        masks = masks * valid
    m = masks.flatten(2)
    squares = (student - teacher.detach()).square().sum(dim=1).flatten(1)
    weighed = torch.einsum("nkp,np->nk", m.square(), squares) / (m.sum(dim=2) + 1e-5)
    return 0.5 * weighed.sum() / (m.shape[0] * m.shape[1] * student.shape[1])


def mask_dice(masks: Tensor) -> Tensor:
    """How much masks overlap: mean over images and pairs i ≠ j of Dice.

    2 Σ_p m_i m_j / (Σ_p m_i² + Σ_p m_j² + 2e-12); 0 for a single mask.

    Args:
        masks: (N, K, h, w).

    Example:
        >>> masks = torch.tensor([[[[0.5, 0.5]], [[0.75, 0.5]]]])  # 2 · 0.625 / (0.5 + 0.8125)
        >>> round(mask_dice(masks).item(), 6)
        0.952381
    """
    m = masks.flatten(2)
    n, k, _ = m.shape
    products = m @ m.transpose(1, 2)
    squares = products.diagonal(dim1=1, dim2=2)
    dice = 2 * products / (squares[:, :, None] + squares[:, None] + 2e-12)
    others = ~torch.eye(k, dtype=torch.bool, device=m.device)
    return dice[:, others].sum() / (n * max(1, k * (k - 1)))


def maskd_tokens(
    teacher: Tensor, tokens: Tensor, labels: Tensor, ignore_index: int | None = 255
) -> tuple[Tensor, Tensor]:
    """What tokens learn by: the teacher's logits, times the **sum** of the masks, still segment.

    Args:
        teacher: logits (N, C, h, w).
        tokens: (K, C).
        labels: (N, H, W).
        ignore_index: label of pixels without a class.

    Returns:
        ce: cross-entropy of the masked logits at the labels' size (bilinear, corners aligned),
            mean over labelled pixels.
        dice: :func:`mask_dice`.
    """
    masks = receptive_masks(teacher, tokens)
    masked = teacher * masks.sum(dim=1, keepdim=True)
    large = F.interpolate(masked, labels.shape[-2:], mode="bilinear", align_corners=True)
    ignored = -100 if ignore_index is None else ignore_index
    ce = F.cross_entropy(large, labels.long(), ignore_index=ignored, reduction="sum")
    return ce / (labels != ignored).sum().clamp(min=1), mask_dice(masks)


class MasKD(nn.Module):
    """:func:`maskd` on logits, and on auxiliary logits where both networks have them.

    Before the student's first iteration, tokens are learnt on the teacher (:func:`maskd_tokens`,
    the sum of both terms; SGD at 0.1, momentum 0.9, weight decay 1e-3, polynomial decay 0.9).
    ``bpkd train`` does that and writes them into the run's folder; or they are read from a file.

    Args:
        num_classes: number of classes C.
        tokens: a file with one tensor (K, C) among its tensors, that of another run or a
            released one; null: they are learnt.
        num_tokens: K, of tokens that are learnt.
        token_iters: iterations that they are learnt for.
        teacher_mode: of the teacher while they are learnt: ``eval``, or ``train``, which the
            authors' script has (batch statistics, dropout; the teacher's own are put back).
        ignore_index: label of pixels that are left out; None keeps them, as published code does.
    """

    weights: ClassVar[dict[str, float]] = {"maskd": 1.0, "auxiliary": 0.4}
    task: ClassVar[str] = "semantic"
    needs_auxiliary = True
    tokens: Tensor
    learned: Tensor

    def __init__(
        self,
        num_classes: int,
        tokens: str | None = None,
        num_tokens: int = 8,
        token_iters: int = 10_000,
        teacher_mode: Literal["eval", "train"] = "eval",
        ignore_index: int | None = 255,
    ) -> None:
        super().__init__()
        drawn = 0.01 * torch.randn(num_tokens, num_classes)
        found = drawn if tokens is None else read_tokens(tokens, num_classes)
        self.register_buffer("tokens", found)
        self.register_buffer("learned", torch.tensor(tokens is not None))
        self.token_iters, self.teacher_mode = token_iters, teacher_mode
        self.ignore_index = ignore_index

    @property
    def prepare_iters(self) -> int:
        """Iterations that :meth:`prepare` wants; 0 where the tokens are there."""
        return 0 if self.learned else self.token_iters

    def prepare(
        self, teacher: nn.Module, batches: Iterable[tuple[Tensor, Tensor]], own_loss: OwnLoss
    ) -> None:
        """Learn the tokens on the teacher."""

        def loss(tokens: Tensor, images: Tensor, labels: Tensor) -> Tensor:
            with torch.no_grad():
                logits = full_precision(teacher(images).logits)
            return torch.stack(maskd_tokens(logits, tokens, labels, self.ignore_index)).sum()

        with teaching_in(self.teacher_mode, teacher):
            self.tokens.copy_(learn_tokens(self.tokens, loss, batches, self.token_iters))
        self.learned.fill_(True)

    def forward(self, student: Output, teacher: Output, labels: Tensor) -> dict[str, Tensor]:
        """Outputs of both networks and labels (N, H, W) -> ``maskd`` and ``auxiliary``."""
        student, teacher = as_output(student), as_output(teacher)
        terms = {"maskd": self.term(student.logits, teacher.logits, labels)}
        if student.auxiliary is not None and teacher.auxiliary is not None:
            terms["auxiliary"] = self.term(student.auxiliary, teacher.auxiliary, labels)
        return terms

    def term(self, ours: Tensor, theirs: Tensor, labels: Tensor) -> Tensor:
        """One pair of logits, with the masks of the teacher's."""
        logits = full_precision(ours)
        target = like_student(full_precision(theirs), logits)
        valid = labelled_pixels(labels, logits, self.ignore_index)
        return maskd(logits, target, receptive_masks(target, self.tokens), valid)
