"""What happens to an image and its instances before training, and how they become a batch.

Sizes and order are those of MMDetection's published recipes: resized with its ratio kept to one of
several sizes, flipped, padded to a multiple of 32. By choice: scaled at random and cut to a fixed
size, as large-scale jitter does (Ghiasi et al., *Simple Copy-Paste*, CVPR 2021). Every random
number comes from torch's global generator, which :class:`~bpkd.datasets.draws.Draws` seeds anew for
each draw.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2 import functional as F

from bpkd.datasets.instances import Instances
from bpkd.datasets.photometric import photometric_distortion, uniform
from bpkd.datasets.transforms import PADDING, base_factor, below, extent, to_float
from bpkd.errors import UserError

Size = tuple[int, int]
Pair = tuple[Tensor, Instances]


def instance_transform(
    sizes: Sequence[Sequence[int]] | None = ((1333, 800),),
    *,
    scale: Sequence[float] = (1.0, 1.0),
    crop: int | Sequence[int] | None = None,
    flip: float = 0.5,
    photometric: bool = False,
    antialias: bool = True,
    least: float = 1.0,
) -> InstanceTransform:
    """Random size, crop, flip and colours of an image with its instances.

    Args:
        sizes: (long, short) of the sides that an image is fitted into, its ratio kept; one of them
            is drawn for each image. None: its own size.
        scale: range of a further factor, uniform. Large-scale jitter is (0.1, 2.0) with one size,
            that of the crop.
        crop: (height, width) of a window at random, padded with the ImageNet mean where the image
            is smaller; one number for a square. None: the whole image.
        flip: probability of a horizontal flip.
        photometric: whether colours are distorted, see :mod:`bpkd.datasets.photometric`.
        antialias: whether an image that shrinks is smoothed first.
        least: an instance is left out where a side of its box is shorter, in pixels of the result,
            or where no pixel of its mask is left. Crowds are always left out: nothing is learnt
            from them.

    Returns:
        A function from a uint8 image (3, H, W) and its instances to a float32 image (3, h, w) in
        [0, 1] and the instances that are left, with boxes moved and cut as the image is.

    Raises:
        UserError: an argument is out of its range.

    >>> transform = instance_transform([(4, 4)], flip=0)
    >>> mask = torch.tensor([[[1, 0], [0, 0]]]).bool()
    >>> image = torch.zeros(3, 2, 2).byte()
    >>> image, instances = transform(image, Instances.of(mask, torch.zeros(1)))
    >>> instances.boxes.tolist(), instances.masks.int().tolist()
    ([[0.0, 0.0, 2.0, 2.0]], [[[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]]])
    """
    if sizes is not None and (not sizes or not all(map(_is_size, sizes))):
        raise UserError(f"sizes {sizes!r}: expected a list of [long, short] in pixels, or none")
    if len(scale) != 2 or not 0 < scale[0] <= scale[1]:
        raise UserError(f"scale {scale!r}: expected (least, greatest) with 0 < least <= greatest")
    window = (crop, crop) if isinstance(crop, int) else crop
    if window is not None and (len(window) != 2 or min(window) < 1):
        raise UserError(f"crop {crop!r}: expected one or two whole numbers of pixels above 0")
    if not 0 <= flip <= 1:
        raise UserError(f"flip {flip!r}: expected a probability from 0 to 1")
    if least < 0:
        raise UserError(f"least {least!r}: expected a number of pixels from 0")
    return InstanceTransform(
        sizes=None if sizes is None else tuple((size[0], size[1]) for size in sizes),
        scale=(float(scale[0]), float(scale[1])),
        crop=None if window is None else (window[0], window[1]),
        flip=flip,
        photometric=photometric,
        antialias=antialias,
        least=least,
    )


def _is_size(size: object) -> bool:
    return isinstance(size, Sequence) and len(size) == 2 and min(size) >= 1


@dataclass(frozen=True)
class InstanceTransform:
    """See :func:`instance_transform`, which checks the arguments and makes this."""

    sizes: tuple[Size, ...] | None
    scale: tuple[float, float]
    crop: Size | None
    flip: float
    photometric: bool
    antialias: bool
    least: float

    def __call__(self, image: Tensor, instances: Instances) -> Pair:
        """uint8 (3, H, W) and its instances -> float32 (3, h, w) and what is left of them."""
        height, width = image.shape[1:]
        factor = uniform(*self.scale)
        if self.sizes is not None:
            factor *= base_factor((height, width), self.sizes[below(len(self.sizes))])
        # The window is cut out of the original and only then resized, as for label maps.
        sides = [
            extent(side, crop, factor) if crop else (side, max(1, int(side * factor + 0.5)))
            for side, crop in zip((height, width), self.crop or (0, 0), strict=True)
        ]
        (rows, new_height), (columns, new_width) = sides
        top, left = below(height - rows + 1), below(width - columns + 1)
        image = F.resized_crop(
            image, top, left, rows, columns, [new_height, new_width], antialias=self.antialias
        )
        instances = moved(
            instances.only(~instances.crowd), (top, left, rows, columns), (new_height, new_width)
        )
        if torch.rand(()) < self.flip:
            image, instances = F.horizontal_flip(image), flipped(instances)
        image = to_float(image)
        if self.photometric:
            image = photometric_distortion(image)
        instances = large_enough(instances, self.least)
        if self.crop is not None:
            image = padded(image, self.crop)
            instances = instances.padded(*self.crop)
        return image, instances


def moved(instances: Instances, window: tuple[int, int, int, int], size: Size) -> Instances:
    """The instances of a window (top, left, height, width), resized to (height, width).

    Masks go by nearest pixels; boxes are moved, scaled by each side's factor, and cut at the frame.
    Areas that a file gave are forgotten.
    """
    top, left, rows, columns = window
    masks = F.resized_crop(
        instances.masks.byte(), *window, list(size), interpolation=InterpolationMode.NEAREST_EXACT
    ).bool()
    shift = torch.tensor([left, top, left, top])
    factor = torch.tensor([size[1] / columns, size[0] / rows]).repeat(2)
    most = torch.tensor([size[1], size[0]]).repeat(2)
    boxes = ((instances.boxes - shift) * factor).clamp(min=0).minimum(most)
    return instances._replace(masks=masks, boxes=boxes, areas=None)


def flipped(instances: Instances) -> Instances:
    """The instances of the mirrored image, left for right."""
    width = instances.masks.shape[2]
    x1, y1, x2, y2 = instances.boxes.unbind(1)
    boxes = torch.stack([width - x2, y1, width - x1, y2], 1)
    return instances._replace(masks=instances.masks.flip(2), boxes=boxes)


def large_enough(instances: Instances, least: float) -> Instances:
    """Without those that have a box with a side below ``least``, or no pixel."""
    sides = instances.boxes[:, 2:] - instances.boxes[:, :2]
    return instances.only((sides >= least).all(1) & instances.masks.flatten(1).any(1))


def padded(image: Tensor, size: Sequence[int], fill: Sequence[float] = PADDING) -> Tensor:
    """A float image (3, h, w) that goes on to the bottom and the right, as the ImageNet mean."""
    missing = [0, 0, size[1] - image.shape[2], size[0] - image.shape[1]]
    result: Tensor = F.pad(image, missing, fill=list(fill))
    return result


def gather(
    pairs: Sequence[Pair], divisor: int = 32, fill: Sequence[float] = PADDING
) -> tuple[Tensor, list[Instances]]:
    """A batch: images padded to one size, and the instances of each.

    The instances keep the size of their own image: what of the batch is padding can be told by
    it, and :meth:`~bpkd.datasets.instances.Instances.padded` brings masks to the batch's size.

    Args:
        pairs: float images (3, h, w) in [0, 1] with their instances.
        divisor: height and width of the batch are multiples of it.
        fill: colour of the padding.

    Returns:
        (N, 3, H, W) and N times the instances.

    >>> sizes = [(4, 40), (9, 5)]
    >>> images, instances = gather([(torch.ones(3, *s), Instances.none(*s)) for s in sizes])
    >>> tuple(images.shape), [tuple(each.masks.shape) for each in instances]
    ((2, 3, 32, 64), [(0, 4, 40), (0, 9, 5)])
    """
    most = [max(image.shape[side] for image, _ in pairs) for side in (1, 2)]
    size = [-(-side // divisor) * divisor for side in most]
    images = torch.stack([padded(image, size, fill) for image, _ in pairs])
    return images, [instances for _, instances in pairs]
