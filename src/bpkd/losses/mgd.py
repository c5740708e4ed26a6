"""MGD: from features with random holes the student generates the teacher's whole ones.

Yang et al., Masked Generative Distillation, ECCV 2022, equations 2 to 5.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from bpkd.errors import UserError
from bpkd.losses.bases import FeatureLoss


def mgd(generated: Tensor, teacher: Tensor, valid: Tensor | None = None) -> Tensor:
    """Squared difference summed over channels and pixels, mean over images.

    Args:
        generated: feature maps (N, D, h, w) that the student's generator made.
        teacher: feature maps of the same shape; no gradient flows to them.
        valid: (N, 1, h, w) booleans, the pixels that count; None for all.

    Returns:
        A scalar >= 0.

    Example:
        >>> mgd(torch.tensor([[[[1.0, 2.0]]]]), torch.zeros(1, 1, 1, 2)).item()
        5.0
    """
    squares = (generated - teacher.detach()).square()
    if valid is not None:
        squares = squares * valid
    return squares.sum() / len(generated)


class MGD(FeatureLoss):
    """:func:`mgd`, with the generator: two 3x3 convolutions with a ReLU between.

    Random pixels of the student's features are set to 0 first (by torch's global generator), all
    channels of a pixel together; or random channels, all pixels of a channel together. A student
    that equals its teacher is not at 0. The weight and the share are the paper's for segmentation.

    Args:
        student_channels: channels of the student's features.
        teacher_channels: channels of the teacher's features.
        masked: share of pixels (or channels) that are set to 0, in [0, 1].
        holes: ``pixels``, or ``channels`` (a switch of MMRazor's code).
        feature: name of the features.
        ignore_index: label of pixels that are left out, where the target is labels; None keeps
            them, as published code does.
    """

    weights: ClassVar[dict[str, float]] = {"mgd": 2e-5}

    def __init__(
        self,
        student_channels: int,
        teacher_channels: int,
        masked: float = 0.75,
        holes: Literal["pixels", "channels"] = "pixels",
        feature: str = "head",
        ignore_index: int | None = 255,
    ) -> None:
        super().__init__(feature, ignore_index)
        if not 0 <= masked <= 1:
            raise UserError(f"MGD: masked is a share in [0, 1], got {masked}")
        self.adapter: nn.Module = nn.Identity()
        if student_channels != teacher_channels:
            self.adapter = nn.Conv2d(student_channels, teacher_channels, kernel_size=1)
        self.generator = nn.Sequential(
            nn.Conv2d(teacher_channels, teacher_channels, kernel_size=3, padding=1),
            nn.ReLU(),
            nn.Conv2d(teacher_channels, teacher_channels, kernel_size=3, padding=1),
        )
        self.masked = masked
        self.holes = holes

    def forward(self, student: Any, teacher: Any, target: Any) -> dict[str, Tensor]:
        """Outputs of both networks and what the images show -> the term ``mgd``."""
        maps, theirs, valid = self.maps(student, teacher, target)
        (n, channels), (h, w) = theirs.shape[:2], maps.shape[-2:]
        size = (n, 1, h, w) if self.holes == "pixels" else (n, channels, 1, 1)
        kept = torch.rand(size, device=maps.device) >= self.masked
        # The generator looks at neighbours: what is ignored must not reach it either.
        kept = kept if valid is None else kept & valid
        return {"mgd": mgd(self.generator(self.adapter(maps) * kept), theirs, valid)}
