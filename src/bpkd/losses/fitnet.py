"""FitNet: the student's features, through a learnt 1x1 convolution, follow the teacher's.

Romero et al., FitNets: Hints for Thin Deep Nets, ICLR 2015; reduced as in CIRKD's code.
"""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor, nn

from bpkd.losses.bases import FeatureLoss
from bpkd.networks.base import SegOutput


def fitnet(student: Tensor, teacher: Tensor, valid: Tensor | None = None) -> Tensor:
    """Mean over images, channels and pixels of the squared difference.

    Args:
        student: feature maps (N, D, h, w), after the regressor.
        teacher: feature maps of the same shape; no gradient flows to them.
        valid: (N, 1, h, w) booleans, the pixels that count; None for all.

    Returns:
        A scalar >= 0.

    Example:
        >>> import torch
        >>> student = torch.tensor([[[[1.0, 2.0]]]])
        >>> fitnet(student, torch.zeros(1, 1, 1, 2)).item()
        2.5
    """
    squares = (student - teacher.detach()).square()
    if valid is None:
        return squares.mean()
    return (squares * valid).sum() / (valid.sum().clamp(min=1) * student.shape[1])


class FitNet(FeatureLoss):
    """:func:`fitnet` on feature maps, with its regressor, a 1x1 convolution without bias.

    The regressor is there for equal channel counts as well: so a student that equals its teacher
    is at 0 only once the regressor has learnt the identity.

    Args:
        student_channels: channels of the student's features.
        teacher_channels: channels of the teacher's features.
        feature: name of the features.
        ignore_index: label of pixels that are left out; None keeps them, as published code does.
    """

    weights: ClassVar[dict[str, float]] = {"fitnet": 10.0}

    def __init__(
        self,
        student_channels: int,
        teacher_channels: int,
        feature: str = "head",
        ignore_index: int | None = 255,
    ) -> None:
        super().__init__(feature, ignore_index)
        self.regressor = nn.Conv2d(student_channels, teacher_channels, kernel_size=1, bias=False)

    def forward(self, student: SegOutput, teacher: SegOutput, labels: Tensor) -> dict[str, Tensor]:
        """Outputs of both networks and labels (N, H, W) -> the term ``fitnet``."""
        maps, target, valid = self.maps(student, teacher, labels)
        return {"fitnet": fitnet(self.regressor(maps), target, valid)}
