"""What happens to an image and its labels before training: scale, crop, flip, colours.

Order and ranges are those of MMSegmentation's published recipes. Every random number comes from
torch's global generator. Normalisation is the networks' own affair. What differs from there, each
time by less than a pixel: the window is cut in whole pixels of the original; a label is taken from
the middle of what it stands for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2 import functional as F

from bpkd.datasets.photometric import photometric_distortion, uniform
from bpkd.errors import UserError
from bpkd.support.finite import whole_labels

# The ImageNet mean: a network that normalises by it sees zeros in the padding.
PADDING = [0.485, 0.456, 0.406]
_REDRAWS = 10


def to_float(image: Tensor) -> Tensor:
    """uint8 in 0..255 -> float32 in [0, 1]; a floating-point image keeps its values.

    >>> to_float(torch.tensor([[[0, 51, 255]]], dtype=torch.uint8))
    tensor([[[0.0000, 0.2000, 1.0000]]])
    """
    converted: Tensor = F.to_dtype(image, torch.float32, scale=True)
    return converted


def base_factor(size: Sequence[int], base_size: Sequence[int]) -> float:
    """The factor that fits an image into a base size, the aspect kept.

    The least of long side over long side and short side over short side, as mmcv's
    ``rescale_size``; so the order of ``base_size`` is of no account.

    >>> base_factor((375, 500), (2048, 512))  # 512 / 375 = 1.365, 2048 / 500 = 4.096
    1.3653333333333333
    """
    return min(max(base_size) / max(size), min(base_size) / min(size))


def rescaled_size(size: Sequence[int], base_size: Sequence[int]) -> tuple[int, int]:
    """Height and width of an image fitted into a base size, the aspect kept.

    >>> rescaled_size((375, 500), (2048, 512))
    (512, 683)
    """
    factor = base_factor(size, base_size)
    height, width = (max(1, int(side * factor + 0.5)) for side in size)
    return height, width


def training_transform(
    crop: int | Sequence[int],
    scale: Sequence[float] = (0.5, 2.0),
    *,
    base_size: Sequence[int] | None = None,
    cat_max_ratio: float = 0.75,
    flip: float = 0.5,
    photometric: bool = True,
    antialias: bool = True,
    ignore_index: int = 255,
) -> TrainingTransform:
    """Random scale, crop, flip and colour distortion of an image with its labels.

    Args:
        crop: (height, width) of the output, in pixels; one number for a square.
        scale: range of the factor, uniform, that the image is resized by before the crop.
        base_size: the factor counts from the image fitted into this size, see
            :func:`base_factor`; MMSegmentation's ``img_scale``, (2048, 512) for ADE20K. None:
            from the image's own size.
        cat_max_ratio: a crop in which one class holds this share of the labelled pixels or more
            is drawn again, up to 10 times. 1 takes any crop.
        flip: probability of a horizontal flip.
        photometric: whether colours are distorted, see :mod:`bpkd.datasets.photometric`.
        antialias: whether an image that shrinks is smoothed first; MMSegmentation does not.
        ignore_index: label of the pixels that belong to no class; fills labels smaller than the
            crop at the bottom and the right. There, the image is filled with the ImageNet mean:
            0 after normalisation by it.

    Returns:
        A function from a uint8 image (3, H, W) and integer labels (H, W) to a float32 image
        (3, h, w) in [0, 1] and labels (h, w) of the same integer type.

    Raises:
        UserError: an argument is out of its range.

    >>> transform = training_transform((2, 3), scale=(1, 1), flip=0, photometric=False)
    >>> image = torch.full((3, 1, 3), 255, dtype=torch.uint8)
    >>> image, labels = transform(image, torch.tensor([[0, 1, 2]], dtype=torch.uint8))
    >>> labels.tolist()
    [[0, 1, 2], [255, 255, 255]]
    >>> image[0]
    tensor([[1.0000, 1.0000, 1.0000],
            [0.4850, 0.4850, 0.4850]])
    """
    size = (crop, crop) if isinstance(crop, int) else tuple(crop)
    if len(size) != 2 or not all(isinstance(s, int) and s > 0 for s in size):
        raise UserError(f"crop {crop!r}: expected one or two whole numbers of pixels above 0")
    if base_size is not None and (len(base_size) != 2 or min(base_size) < 1):
        raise UserError(f"base_size {base_size!r}: expected two numbers of pixels above 0, or none")
    if len(scale) != 2 or not 0 < scale[0] <= scale[1]:
        raise UserError(f"scale {scale!r}: expected (least, greatest) with 0 < least <= greatest")
    if not 0 < cat_max_ratio <= 1:
        raise UserError(f"cat_max_ratio {cat_max_ratio!r}: expected a share above 0, at most 1")
    if not 0 <= flip <= 1:
        raise UserError(f"flip {flip!r}: expected a probability from 0 to 1")
    return TrainingTransform(
        crop=size,
        scale=(float(scale[0]), float(scale[1])),
        base_size=None if base_size is None else (base_size[0], base_size[1]),
        cat_max_ratio=cat_max_ratio,
        flip=flip,
        photometric=photometric,
        antialias=antialias,
        ignore_index=ignore_index,
    )


@dataclass(frozen=True)
class TrainingTransform:
    """See :func:`training_transform`, which checks the arguments and makes this."""

    crop: tuple[int, int]
    scale: tuple[float, float]
    base_size: tuple[int, int] | None
    cat_max_ratio: float
    flip: float
    photometric: bool
    antialias: bool
    ignore_index: int

    def __call__(self, image: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """uint8 (3, H, W) and labels (H, W) -> float32 (3, h, w) and labels (h, w)."""
        if labels.is_floating_point():
            labels = whole_labels(labels)
        factor = uniform(*self.scale)
        if self.base_size is not None:
            factor *= base_factor(labels.shape, self.base_size)
        (height, new_height), (width, new_width) = (
            extent(length, crop, factor)
            for length, crop in zip(labels.shape, self.crop, strict=True)
        )
        # The window is cut out of the original and only then resized: that spares resizing what
        # the crop throws away.
        top, left = self._window(labels, height, width)
        window = (top, left, height, width, [new_height, new_width])
        image = F.resized_crop(image, *window, antialias=self.antialias)
        labels = F.resized_crop(
            labels[None], *window, interpolation=InterpolationMode.NEAREST_EXACT
        )
        if torch.rand(()) < self.flip:
            image, labels = F.horizontal_flip(image), F.horizontal_flip(labels)
        image = to_float(image)
        if self.photometric:
            image = photometric_distortion(image)
        missing = [0, 0, self.crop[1] - new_width, self.crop[0] - new_height]
        if not any(missing):
            return image, labels[0]
        image = F.pad(image, missing, fill=PADDING)
        return image, F.pad(labels, missing, fill=self.ignore_index)[0]

    def _window(self, labels: Tensor, height: int, width: int) -> tuple[int, int]:
        """Top left corner of a random window, in which no class prevails if that can be had."""
        for redraw in range(_REDRAWS + 1):
            top = below(labels.shape[0] - height + 1)
            left = below(labels.shape[1] - width + 1)
            if self.cat_max_ratio == 1 or redraw == _REDRAWS:
                break  # the last one is taken unseen
            if self._is_mixed(labels[top : top + height, left : left + width]):
                break
        return top, left

    def _is_mixed(self, labels: Tensor) -> bool:
        shift = max(0, -self.ignore_index)  # bincount wants numbers from 0 upwards
        counts = torch.bincount(labels.flatten().int() + shift, minlength=self.ignore_index + 1)
        counts[self.ignore_index + shift] = 0
        return bool(counts.count_nonzero() > 1 and counts.max() < self.cat_max_ratio * counts.sum())


def extent(length: int, crop: int, factor: float) -> tuple[int, int]:
    """Length of the window along one side, in original pixels, and what it is resized to."""
    window = max(1, round(crop / factor))
    if window < length:
        return window, crop
    return length, min(crop, max(1, round(length * factor)))


def below(bound: int) -> int:
    """A whole number from 0, below the bound, by torch's global generator."""
    return int(torch.randint(bound, ()))
