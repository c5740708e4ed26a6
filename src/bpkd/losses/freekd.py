"""FreeKD: details at three scales follow the teacher's, where learnt prompts look.

Zhang et al., FreeKD: Knowledge Distillation via Semantic Frequency Prompt, CVPR 2024; as released,
for detectors.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bpkd.losses.bases import level_maps
from bpkd.losses.features import each_level, zeroed
from bpkd.losses.haar import haar, inverse_haar
from bpkd.losses.maskd import mask_dice, receptive_masks
from bpkd.losses.tokens import LearnedOnPyramid

SCALES = 3


def freekd(student: Tensor, teacher: Tensor, tokens: Tensor) -> Tensor:
    """Σ_j mean of m_jk |S_j - T_j| over images, tokens, channels, orientations and places.

    S_j and T_j are the three orientations of a Haar transform at scale j = 1, 2, 3; m_jk =
    sigmoid(q_jk · y_j), y_j the sum of the teacher's orientations. What is left at the coarsest
    scale is not compared.

    Args:
        student: features (N, D, h, w).
        teacher: features of the same shape; no gradient flows to them.
        tokens: q (4, K, D): a set for what is left, unused here, and one for each scale.

    Returns:
        A scalar >= 0.

    Example:
        >>> student = torch.zeros(1, 1, 8, 8)
        >>> student[..., 0, 0] = 1.0  # at a corner: ½ (½ / 16 + ¼ / 4 + ⅛)
        >>> freekd(student, torch.zeros(1, 1, 8, 8), torch.zeros(4, 1, 1)).item()
        0.109375
    """
    total = student.new_zeros(())
    ours, theirs = haar(student, SCALES)[1], haar(teacher.detach(), SCALES)[1]
    for s, t, q in zip(ours, theirs, tokens[1:], strict=True):
        masks = receptive_masks(t.sum(dim=2), q).mean(dim=1)[:, None, None]
        total = total + (masks * (s - t).abs()).mean()
    return total


def prompted(maps: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor]:
    """Maps whose bands were multiplied by the **sum** of their masks, and how much masks overlap.

    Args:
        maps: (N, D, h, w).
        tokens: (4, K, D): for what is left, and for the scales.

    Returns:
        maps: (N, D, h, w), sides rounded up to even numbers.
        dice: the sum of four :func:`~bpkd.losses.maskd.mask_dice`.
    """
    low, details = haar(maps, SCALES)
    masks = [receptive_masks(low, tokens[0])]
    masks += [receptive_masks(d.sum(dim=2), q) for d, q in zip(details, tokens[1:], strict=True)]
    sums = [mask.sum(dim=1, keepdim=True) for mask in masks]
    weighed = [detail * each[:, None] for detail, each in zip(details, sums[1:], strict=True)]
    dice = torch.stack([mask_dice(mask) for mask in masks]).sum()
    return inverse_haar(low * sums[0], weighed), dice


class FreeKD(LearnedOnPyramid):
    """:func:`freekd` and the mean squared difference on each level of a pyramid, added up.

    The student's features pass a 1x1 convolution, so that one that equals its teacher is not at 0.
    Prompts are learnt on the teacher before the student's first iteration, as those of MasKDLevels
    are: how the authors train them is not published.

    Args:
        student_channels: channels of the student's features: one number, or one a feature.
        teacher_channels: channels of the teacher's features, the same.
        num_tokens: K, of each set.
        token_iters: iterations that they are learnt for.
        tokens: the file that another run wrote of them; null: they are learnt.
        features: names of the features.
        ignore_index: label of pixels that are left out, where the target is labels.
    """

    weights: ClassVar[dict[str, float]] = {"freekd": 1.0, "squares": 5.0}

    def __init__(
        self,
        student_channels: int | Sequence[int],
        teacher_channels: int | Sequence[int],
        num_tokens: int = 6,
        token_iters: int = 2000,
        tokens: str | None = None,
        features: Sequence[str] = ("p2", "p3", "p4", "p5", "p6"),
        ignore_index: int | None = 255,
    ) -> None:
        super().__init__(token_iters)
        ours = each_level(student_channels, features)
        theirs = each_level(teacher_channels, features)
        self.adapters = nn.ModuleList(nn.Conv2d(a, b, 1) for a, b in zip(ours, theirs, strict=True))
        self.tokens = nn.ParameterList(
            0.01 * torch.randn(1 + SCALES, num_tokens, each) for each in theirs
        )
        self.features, self.ignore_index = tuple(features), ignore_index
        self.fix(tokens)

    def learnable(self) -> nn.ModuleDict:
        """The prompts."""
        return nn.ModuleDict({"tokens": self.tokens})

    def masked(self, level: int, maps: Tensor) -> tuple[Tensor, Tensor]:
        """A level, its bands multiplied by their masks, and how much the masks overlap."""
        made, dice = prompted(maps, self.tokens[level])
        return made[..., : maps.shape[2], : maps.shape[3]], dice

    def forward(self, student: Any, teacher: Any, target: Any) -> dict[str, Tensor]:
        """Outputs of both networks and what the images show -> ``freekd`` and ``squares``."""
        details, squares = [], []
        levels = level_maps(student, teacher, target, self.features, self.ignore_index)
        for level, (maps, target_maps, valid) in enumerate(levels):
            ours, theirs = zeroed(self.adapters[level](maps), valid), zeroed(target_maps, valid)
            details.append(freekd(ours, theirs, self.tokens[level]))
            squares.append(F.mse_loss(ours, theirs))
        return {"freekd": torch.stack(details).sum(), "squares": torch.stack(squares).sum()}
