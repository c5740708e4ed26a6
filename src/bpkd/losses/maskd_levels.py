"""MasKD, the version for detectors: a pyramid's features follow the teacher's, region by region.

Huang et al., Masked Distillation with Receptive Tokens, ICLR 2023. On logits:
:mod:`bpkd.losses.maskd`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from bpkd.losses.bases import level_maps
from bpkd.losses.features import each_level, zeroed
from bpkd.losses.maskd import mask_dice, receptive_masks
from bpkd.losses.tokens import LearnedOnPyramid

# Below any mask's sum that is more than rounding: where all is 0, 0 / 0 is 0.
_TINY = 1e-30


def maskd_level(
    student: Tensor, teacher: Tensor, masks: Tensor, weights: Tensor | None = None
) -> Tensor:
    """1 / N Σ_nk w_nk 1 / D Σ_d [Σ_p m_k² (student - teacher)² / Σ_p m_k].

    Args:
        student: features (N, D, h, w).
        teacher: features of the same shape; no gradient flows to them.
        masks: m (N, K, h, w).
        weights: w (N, K); None: 1 / K each.

    Returns:
        A scalar >= 0.

    Example:
        >>> student = torch.tensor([[[[1.0, 2.0]]]])  # m = ½: (¼ · 1 + ¼ · 4) / 1
        >>> maskd_level(student, torch.zeros(1, 1, 1, 2), torch.full((1, 1, 1, 2), 0.5)).item()
        1.25
    """
    m = masks.flatten(2)
    squares = (student - teacher.detach()).square().mean(dim=1).flatten(1)
    distances = torch.einsum("nkp,np->nk", m.square(), squares) / m.sum(dim=2).clamp(min=_TINY)
    if weights is None:
        return distances.mean()
    return (weights * distances).sum() / len(m)


class MaskWeights(nn.Module):
    """How much each mask counts in an image: 3x3 convolution, global mean, 1x1, softmax.

    Args:
        channels: D.
        num_tokens: K.
    """

    def __init__(self, channels: int, num_tokens: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, kernel_size=3, padding=1)
        self.conv2 = nn.Conv2d(channels, num_tokens, kernel_size=1)

    def forward(self, maps: Tensor) -> Tensor:
        """(N, D, h, w) -> (N, K), adding up to 1."""
        pooled = self.conv1(maps).mean(dim=(2, 3), keepdim=True)
        weights: Tensor = self.conv2(pooled).flatten(1).softmax(dim=1)
        return weights


class MasKDLevels(LearnedOnPyramid):
    """:func:`maskd_level` on each level of a pyramid, added up.

    The student's features pass a 1x1 convolution, so that one that equals its teacher is not at 0.
    Tokens and their weights are learnt on the teacher before the student's first iteration (its
    levels, times the weighed sum of their masks, have to serve its own loss, beside Dice; Adam at
    0.01, weight decay 1e-3, cosine), and fixed from then on.

    Args:
        student_channels: channels of the student's features: one number, or one a feature.
        teacher_channels: channels of the teacher's features, the same.
        num_tokens: K, of each level.
        token_iters: iterations that they are learnt for.
        tokens: the file that another run wrote of them; null: they are learnt.
        warmup: calls in training until a mask is the product of the teacher's and the student's.
        weighted: let masks count as the weighting net says; false: all alike, the teacher's alone.
        features: names of the features.
        ignore_index: label of pixels that are left out, where the target is labels.
    """

    weights: ClassVar[dict[str, float]] = {"maskd_levels": 1.0}
    calls: Tensor

    def __init__(
        self,
        student_channels: int | Sequence[int],
        teacher_channels: int | Sequence[int],
        num_tokens: int = 6,
        token_iters: int = 2000,
        tokens: str | None = None,
        warmup: int = 5000,
        weighted: bool = True,
        features: Sequence[str] = ("p2", "p3", "p4", "p5", "p6"),
        ignore_index: int | None = 255,
    ) -> None:
        super().__init__(token_iters)
        ours = each_level(student_channels, features)
        theirs = each_level(teacher_channels, features)
        self.adapters = nn.ModuleList(nn.Conv2d(a, b, 1) for a, b in zip(ours, theirs, strict=True))
        self.tokens = nn.ParameterList(0.01 * torch.randn(num_tokens, each) for each in theirs)
        self.weighting = nn.ModuleList(MaskWeights(each, num_tokens) for each in theirs)
        self.register_buffer("calls", torch.zeros((), dtype=torch.int64))
        self.warmup, self.weighted, self.features = warmup, weighted, tuple(features)
        self.ignore_index = ignore_index
        self.fix(tokens)

    def learnable(self) -> nn.ModuleDict:
        """Tokens and weighting nets."""
        return nn.ModuleDict({"tokens": self.tokens, "weighting": self.weighting})

    def masked(self, level: int, maps: Tensor) -> tuple[Tensor, Tensor]:
        """A level times the weighed sum of its masks, and how much the masks overlap."""
        masks = receptive_masks(maps, self.tokens[level])
        weights = self.weighting[level](maps)
        return maps * torch.einsum("nk,nkhw->nhw", weights, masks)[:, None], mask_dice(masks)

    def forward(self, student: Any, teacher: Any, target: Any) -> dict[str, Tensor]:
        """Outputs of both networks and what the images show -> the term ``maskd_levels``."""
        terms, warm = [], self.weighted and int(self.calls) >= self.warmup
        if self.training:
            self.calls += 1
        levels = level_maps(student, teacher, target, self.features, self.ignore_index)
        for level, (maps, target_maps, valid) in enumerate(levels):
            ours, theirs = self.adapters[level](maps), zeroed(target_maps, valid)
            masks = receptive_masks(theirs, self.tokens[level])
            if warm:
                masks = masks * receptive_masks(ours.detach(), self.tokens[level])
            weights = self.weighting[level](theirs) if self.weighted else None
            terms.append(maskd_level(ours, theirs, zeroed(masks, valid), weights))
        return {"maskd_levels": torch.stack(terms).sum()}
