"""Modules that do not take images of any size, as people write them."""

from __future__ import annotations

from torch import Tensor, nn


class Halving(nn.Module):
    """Wants sides that are multiples of a step."""

    def __init__(self, num_classes: int, step: int = 32) -> None:
        super().__init__()
        self.step = step
        self.conv = nn.Conv2d(3, num_classes, 1)

    def forward(self, images: Tensor) -> Tensor:
        """Images -> logits."""
        n, c, h, w = images.shape
        blocks = images.view(n, c, h // self.step, self.step, w // self.step, self.step)
        return self.conv(blocks.reshape(images.shape))


class Square(nn.Module):
    """Wants images of one size."""

    def __init__(self, num_classes: int, side: int) -> None:
        super().__init__()
        self.side = side
        self.conv = nn.Conv2d(3, num_classes, 1)

    def forward(self, images: Tensor) -> Tensor:
        """Images -> logits."""
        return self.conv(images.reshape(len(images), 3, self.side, self.side))
