"""From RGB in [0, 1] to what a network was trained on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

IMAGENET = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}

#: Three numbers, one a colour.
Colour = tuple[float, float, float]


class Normalisation(nn.Module):
    """Colour order, then scale, then mean and standard deviation.

    Args:
        mean: three numbers, in the network's colour order, at its scale.
        std: three numbers, the same.
        scale: what images in [0, 1] are multiplied by; 255 for a network that wants [0, 255].
        rgb: False for a network that wants blue first.

    Example:
        >>> pixel = torch.tensor([1.0, 0.5, 0.0]).view(1, 3, 1, 1)
        >>> normalise = Normalisation((0, 0, 127.5), (1, 1, 2), scale=255, rgb=False)
        >>> normalise(pixel).flatten().tolist()
        [0.0, 127.5, 63.75]
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        mean: Sequence[float] = IMAGENET["mean"],
        std: Sequence[float] = IMAGENET["std"],
        scale: float = 1.0,
        rgb: bool = True,
    ) -> None:
        super().__init__()
        self.scale, self.rgb = scale, rgb
        # As in our own networks: what the network is, not what it learns; kept out of checkpoints.
        for name, values in (("mean", mean), ("std", std)):
            numbers = torch.tensor(list(values), dtype=torch.float32).view(1, 3, 1, 1)
            self.register_buffer(name, numbers, persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """Images (N, 3, H, W), RGB in [0, 1] -> the same size, as the network wants them."""
        if not self.rgb:
            images = images.flip(1)
        if self.scale != 1:
            images = images * self.scale
        return (images - self.mean) / self.std

    def settings(self) -> dict[str, Any]:
        """The arguments that build it again."""
        mean, std = self.mean.flatten().tolist(), self.std.flatten().tolist()
        return {"mean": mean, "std": std, "scale": self.scale, "rgb": self.rgb}


def normalisation(defaults: dict[str, Any], **given: Any) -> Normalisation:
    """A library's own normalisation, where the recipe (None: says nothing) does not differ."""
    return Normalisation(**{**defaults, **{k: v for k, v in given.items() if v is not None}})
