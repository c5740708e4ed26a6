"""Random colours: brightness, contrast, saturation and hue, in MMSegmentation's order and ranges.

Every random number comes from torch's global generator. What differs from there, by less than a
grey level: colours are floats, neither rounded nor cut off to 8 bits between the steps, and hues
turn by any angle instead of by whole steps of 2 degrees.
"""

from __future__ import annotations

import torch
from torch import Tensor


def photometric_distortion(image: Tensor) -> Tensor:
    """Random brightness, contrast, saturation and hue of a float image (3, H, W) in [0, 1].

    Each comes with probability 1/2: brightness plus -32/255 to 32/255, contrast times 0.5 to 1.5,
    saturation times 0.5 to 1.5, hue by -0.1 to 0.1 of the circle. Contrast is first changed or
    last, as a coin falls. Ranges from Liu et al., *SSD* (ECCV 2016), as MMSegmentation has them.
    torchvision's RandomPhotometricDistort shuffles the channels too, which these do not.

    >>> grey = torch.full((3, 1, 1), 0.5)
    >>> distorted = photometric_distortion(grey)
    >>> bool((distorted == distorted[0]).all())  # grey stays grey
    True
    """
    if _coin():
        image = (image + uniform(-32, 32) / 255).clamp_(0, 1)
    contrast_first = _coin()
    if contrast_first:
        image = _contrast(image)
    saturation = uniform(0.5, 1.5) if _coin() else 1.0
    hue = uniform(-0.1, 0.1) if _coin() else 0.0
    if saturation != 1 or hue != 0:
        image = adjust_hue_and_saturation(image, hue, saturation)
    return image if contrast_first else _contrast(image)


def adjust_hue_and_saturation(image: Tensor, hue: float, saturation: float) -> Tensor:
    """Turns the hue and scales the saturation of the HSV colour space, in one pass.

    Several times as fast as torchvision's adjust_hue, of the same result. From HSV to RGB, channel
    n = 5, 3, 1 is V - C max(0, min(k, 4 - k, 1)), k = (n + 6H) mod 6, with the chroma C = V S.

    Args:
        image: floating-point (3, H, W) in [0, 1].
        hue: shift, as a share of the colour circle.
        saturation: factor; the saturation stops at 1.

    >>> red = torch.tensor([1.0, 0.0, 0.0]).reshape(3, 1, 1)
    >>> adjust_hue_and_saturation(red, hue=1 / 3, saturation=0.5).flatten()  # a pale green
    tensor([0.5000, 1.0000, 0.5000])
    """
    red, green, blue = image
    value = image.amax(0)
    chroma = value - image.amin(0)
    divisor = torch.where(chroma == 0, 1, chroma)  # grey has no hue: any will do
    sector = torch.where(value == green, 2 + (blue - red) / divisor, 4 + (red - green) / divisor)
    sector = torch.where(value == red, (green - blue) / divisor, sector).add_(6 * hue)
    chroma = torch.minimum(chroma * saturation, value)
    # In place: to get fresh memory of this size takes longer than to compute what goes there.
    k = (sector + torch.tensor([5.0, 3.0, 1.0]).reshape(3, 1, 1)).remainder_(6)
    torch.minimum(k, 4 - k, out=k)
    return torch.sub(value, k.clamp_(0, 1).mul_(chroma), out=k)


def _contrast(image: Tensor) -> Tensor:
    return (image * uniform(0.5, 1.5)).clamp_(0, 1) if _coin() else image


def uniform(low: float, high: float) -> float:
    """A random number, each of the range as likely."""
    return low + (high - low) * torch.rand(()).item()


def _coin() -> bool:
    return bool(torch.rand(()) < 0.5)
