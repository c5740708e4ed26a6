"""AfDCD: features made from features with holes, each part nearer to its own than to other parts.

Fan et al., Augmentation-Free Dense Contrastive Knowledge Distillation for Efficient Semantic
Segmentation, NeurIPS 2023. The contrast alone: :mod:`bpkd.losses.afdcd_contrast`.
"""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bpkd.errors import UserError
from bpkd.losses.afdcd_contrast import afdcd_contrast
from bpkd.losses.bases import FeatureLoss
from bpkd.losses.features import zeroed
from bpkd.losses.mgd import mgd
from bpkd.networks.base import SegOutput


def random_mask(uniform: Tensor, masked: float) -> Tensor:
    """0 where a uniform number exceeds 1 - masked, else 1.

    Example:
        >>> random_mask(torch.tensor([0.1, 0.25, 0.3]), masked=0.75)
        tensor([1., 1., 0.])
    """
    return (uniform <= 1 - masked).to(uniform.dtype)


def block_mask(h: int, w: int) -> Tensor:
    """(1, 1, h, w): 0 in the middle third of rows and columns, else 1.

    Rows ⌊h/3⌋ to ⌊2h/3⌋ - 1, columns likewise.

    Example:
        >>> block_mask(3, 4)[0, 0]
        tensor([[1., 1., 1., 1.],
                [1., 0., 1., 1.],
                [1., 1., 1., 1.]])
    """
    mask = torch.ones(1, 1, h, w)
    mask[..., h // 3 : 2 * h // 3, w // 3 : 2 * w // 3] = 0
    return mask


def plain_projector(channels: int) -> nn.Sequential:
    """3x3 convolution, ReLU, 3x3 convolution."""
    return nn.Sequential(
        nn.Conv2d(channels, channels, kernel_size=3, padding=1),
        nn.ReLU(),
        nn.Conv2d(channels, channels, kernel_size=3, padding=1),
    )


class EnhancedProjector(nn.Module):
    """Half the sum of two 3x3 convolutions, of a first layer and of a second one on top of it."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.block1, self.block2, self.adapt1, self.adapt2 = (
            nn.Conv2d(channels, channels, kernel_size=3, padding=1) for _ in range(4)
        )

    def forward(self, maps: Tensor) -> Tensor:
        """(N, D, h, w) -> (N, D, h, w)."""
        first = F.relu(self.block1(maps))
        second = F.relu(self.block2(first))
        made: Tensor = 0.5 * (self.adapt1(first) + self.adapt2(second))
        return made


class AfDCD(FeatureLoss):
    """Both terms: ``feature``, as in MGD, and ``contrast``, of what the projector made.

    The holes are drawn by torch's global generator. A student that equals its teacher is not at 0.
    The weights are those of the authors' scripts for Cityscapes, which have KD at 1 beside them.

    Args:
        student_channels: channels of the student's features.
        teacher_channels: channels of the teacher's features.
        mask: holes at ``random`` pixels, or one ``block`` in the middle.
        projector: ``plain`` or ``enhanced``.
        masked: share of pixels that are random holes, in [0, 1].
        groups: parts that the channels are cut into; must divide the teacher's.
        pool: side of the blocks that are max-pooled before the contrast; 1 for none (CamVid).
        crop: rows and columns that the contrast sees at most; CamVid's scripts have 44.
        patch: rows and columns of a patch of pooled pixels.
        contrast_temperature: τ > 0.
        feature: name of the features; the authors' scripts distil ``backbone``.
        ignore_index: label of pixels that are left out; None keeps them, as published code does.
    """

    weights: ClassVar[dict[str, float]] = {"feature": 2e-6, "contrast": 0.005}
    #: A pooled patch of 4x4.
    minimum_size = 16

    def __init__(
        self,
        student_channels: int,
        teacher_channels: int,
        mask: Literal["random", "block"] = "random",
        projector: Literal["plain", "enhanced"] = "plain",
        masked: float = 0.75,
        groups: int = 16,
        pool: int = 4,
        crop: int | None = None,
        patch: tuple[int, int] = (4, 4),
        contrast_temperature: float = 0.07,
        feature: str = "head",
        ignore_index: int | None = 255,
    ) -> None:
        super().__init__(feature, ignore_index)
        if not 0 <= masked <= 1:
            raise UserError(f"AfDCD: masked is a share of pixels in [0, 1], got {masked}")
        if teacher_channels % groups:
            raise UserError(
                f"AfDCD: groups: expected a number that divides the teacher's {teacher_channels} "
                f"channels, got {groups}"
            )
        self.adapter: nn.Module = nn.Identity()
        if student_channels != teacher_channels:
            self.adapter = nn.Conv2d(student_channels, teacher_channels, kernel_size=1)
        self.projector: nn.Module = plain_projector(teacher_channels)
        if projector == "enhanced":
            self.projector = EnhancedProjector(teacher_channels)
        self.mask, self.masked = mask, masked
        self.groups, self.pool, self.crop, self.patch = groups, pool, crop, (patch[0], patch[1])
        self.contrast_temperature = contrast_temperature

    def forward(self, student: SegOutput, teacher: SegOutput, labels: Tensor) -> dict[str, Tensor]:
        """Outputs of both networks and labels (N, H, W) -> ``feature`` and ``contrast``."""
        maps, target, valid = self.maps(student, teacher, labels)
        # The projector looks at neighbours: what is ignored must not reach it either.
        kept = zeroed(self.holes(maps), valid)
        made = self.projector(self.adapter(maps) * kept)
        contrast = afdcd_contrast(
            made,
            target,
            self.groups,
            self.pool,
            self.patch,
            self.contrast_temperature,
            self.crop,
            valid,
        )
        return {"feature": mgd(made, target, valid), "contrast": contrast}

    def holes(self, maps: Tensor) -> Tensor:
        """0 at the holes, 1 elsewhere: (N or 1, 1, h, w)."""
        n, _, h, w = maps.shape
        if self.mask == "block":
            return block_mask(h, w).to(maps)
        uniform = torch.rand(n, 1, h, w, device=maps.device)
        return random_mask(uniform, self.masked).to(maps.dtype)
