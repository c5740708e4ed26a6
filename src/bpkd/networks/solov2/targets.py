"""What SOLOv2 is to learn from an image: which cells are whose, and the masks at stride 4.

Wang et al., SOLO: Segmenting Objects by Locations, ECCV 2020, section 3, as published in code:
an object belongs to each level whose range holds the square root of its box's area, there to the
cells under the middle of its box, at most 3 x 3 of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from bpkd.datasets.instances import Instances
from bpkd.errors import UserError
from bpkd.networks.base import InstanceOutput
from bpkd.support.messages import suggestion

Range = tuple[float, float]
#: Sizes of the objects of each level: of the full networks, the light ones, the light deformable.
FULL: tuple[Range, ...] = ((1, 96), (48, 192), (96, 384), (192, 768), (384, 2048))
LIGHT: tuple[Range, ...] = ((1, 56), (28, 112), (56, 224), (112, 448), (224, 896))
LIGHT_DEFORMABLE: tuple[Range, ...] = ((1, 64), (32, 128), (64, 256), (128, 512), (256, 2048))
RANGES = {"full": FULL, "light": LIGHT, "light_deformable": LIGHT_DEFORMABLE}
STRIDE = 4  # of the mask features
_AT_ONCE = 8  # masks that are counted at one time


def ranges(given: str | Sequence[Sequence[float]]) -> tuple[Range, ...]:
    """The sizes of each level's objects: of a published network by name, or as given.

    Raises:
        UserError: no such name, or not a least and a greatest size a level.

    Example:
        >>> ranges("light")[0], ranges([[1, 32], [24, 999]])[1]
        ((1, 56), (24, 999))
    """
    if isinstance(given, str):
        if given not in RANGES:
            raise UserError(f"scale_ranges is {given!r}; {suggestion(given, RANGES)}")
        return RANGES[given]
    if any(len(pair) != 2 or pair[0] > pair[1] for pair in given):
        raise UserError(
            f"scale_ranges is {given}; expected a least and a greatest size for each level"
        )
    return tuple((low, high) for low, high in given)


class Level(NamedTuple):
    """The rows of one level of one image, in the instances' order, cells row by row within each.

    Attributes:
        cells: (R,) int64, row * S + column; one that several instances claim is there for each.
        instances: (R,) int64, which of the image's instances.
        labels: (S, S) int64, the class of each cell; num_classes where there is none. Of several
            instances the last gives the label.
    """

    cells: Tensor
    instances: Tensor
    labels: Tensor


class Assignment(NamedTuple):
    """One image's part of the targets.

    Attributes:
        levels: a :class:`Level` for each grid.
        masks: (K, h, w) bool, each instance's mask at stride 4, for ``Level.instances``.
    """

    levels: list[Level]
    masks: Tensor


def assign(
    instances: Instances,
    size: tuple[int, int],
    num_classes: int,
    num_grids: Sequence[int] = (40, 36, 24, 16, 12),
    scale_ranges: Sequence[Range] = FULL,
    pos_scale: float = 0.2,
) -> Assignment:
    """Whose each cell is.

    Args:
        instances: of one image; crowds and empty masks are left out.
        size: (H, W) of the network's padded input, multiples of 4; the image lies in its corner.
        num_classes: C.
        num_grids: S of each level.
        scale_ranges: least and largest size of each level's objects, both included.
        pos_scale: share of the box, about the mask's centre, whose cells are the object's.

    Raises:
        UserError: a mask larger than the input, or a label that is no class.

    Example:
        >>> masks = torch.zeros(1, 32, 32, dtype=torch.bool)
        >>> masks[0, 16:, 16:] = True
        >>> box = torch.tensor([[16.0, 16, 32, 32]])
        >>> one = Instances(masks, torch.tensor([2]), box, torch.tensor([False]))
        >>> level = assign(one, (32, 32), 3, [4], [(1, 96)]).levels[0]
        >>> level.cells.tolist()  # centre 23.5 and 1.6 to each side: cell 2 alone, of 16 to 23 ...
        [10, 11, 14, 15]
        >>> level.labels[2].tolist()
        [3, 3, 2, 2]
    """
    h, w = size
    masks = padded_masks(instances.masks, size)
    if bool(((instances.labels < 0) | (instances.labels >= num_classes)).any()):
        raise UserError(
            f"instances have labels {sorted(set(instances.labels.tolist()))}; "
            f"expected 0 .. {num_classes - 1}"
        )
    usable = masks.flatten(1).any(1) & ~instances.crowd
    x1, y1, x2, y2 = instances.boxes.float().unbind(1)
    scale = ((x2 - x1) * (y2 - y1)).sqrt()
    half = 0.5 * (y2 - y1) * pos_scale, 0.5 * (x2 - x1) * pos_scale
    centre = centres(masks)
    levels = []
    for grid, (low, high) in zip(num_grids, scale_ranges, strict=True):
        chosen = (usable & (scale >= low) & (scale <= high)).nonzero().squeeze(1)
        rows, row_in = _span(centre[chosen, 0], half[0][chosen], h, grid)
        columns, column_in = _span(centre[chosen, 1], half[1][chosen], w, grid)
        inside = row_in[:, :, None] & column_in[:, None, :]
        cells = (rows[:, :, None] * grid + columns[:, None, :])[inside]
        owners = chosen[inside.nonzero()[:, 0]]
        levels.append(Level(cells, owners, _labels(cells, owners, instances, grid, num_classes)))
    return Assignment(levels, reduced(masks))


def assign_batch(
    targets: Sequence[Instances], output: InstanceOutput, scale_ranges: Sequence[Range] = FULL
) -> list[Assignment]:
    """:func:`assign` for each image of a batch, with sizes and classes of a network's output.

    Raises:
        UserError: another number of targets than of images.
    """
    if len(targets) != len(output.mask_features):
        raise UserError(f"{len(output.mask_features)} images have {len(targets)} targets")
    h, w = output.mask_features.shape[-2:]
    grids = [level.shape[-1] for level in output.category]
    classes = output.category[0].shape[1]
    size = (STRIDE * h, STRIDE * w)
    return [assign(each, size, classes, grids, scale_ranges) for each in targets]


def centres(masks: Tensor) -> Tensor:
    """Mean row and column of each mask's pixels, (K, H, W) -> (K, 2); 0 for an empty one.

    Example:
        >>> centres(torch.tensor([[[False, True, True], [False, False, False]]])).tolist()
        [[0.0, 1.5]]
    """
    # In float32: exact up to 2^24 pixels, in a fifth of the time that sums of booleans take.
    k, h, w = masks.shape
    in_rows, in_columns = (torch.empty(k, side, device=masks.device) for side in (h, w))
    for first in range(0, k, _AT_ONCE):
        part = masks[first : first + _AT_ONCE].float()
        in_rows[first : first + _AT_ONCE] = part.sum(2)
        in_columns[first : first + _AT_ONCE] = part.sum(1)
    count = in_rows.sum(1).clamp(min=1)
    means = []
    for line in (in_rows, in_columns):
        place = torch.arange(line.shape[1], device=masks.device)
        means.append((line.long() * place).sum(1) / count)
    return torch.stack(means, dim=1)


def padded_masks(masks: Tensor, size: tuple[int, int]) -> Tensor:
    """Masks (K, H, W) at a size that is at least theirs, with nothing at the right and below."""
    (h, w), (height, width) = masks.shape[-2:], size
    if h > height or w > width:
        raise UserError(f"masks of {h} x {w} pixels do not fit an input of {height} x {width}")
    return F.pad(masks, (0, width - w, 0, height - h))


def reduced(masks: Tensor) -> Tensor:
    """Masks (K, 4 h, 4 w) -> (K, h, w): at least two of the middle four of sixteen pixels.

    It is bilinear resizing without antialiasing, cut at a half.

    Example:
        >>> mask = torch.zeros(1, 4, 4, dtype=torch.bool)
        >>> mask[0, 1, 1:] = True
        >>> reduced(mask).item()
        True
    """
    first, second = slice(1, None, STRIDE), slice(2, None, STRIDE)
    rows = masks[:, first].byte(), masks[:, second].byte()
    return sum(row[:, :, columns] for row in rows for columns in (first, second)) >= 2  # type: ignore[return-value]


def _span(centre: Tensor, half: Tensor, length: int, grid: int) -> tuple[Tensor, Tensor]:
    """The cells along one side that are an object's: (K, 3) cells, and which of them count."""
    # Tensors for divisors: a CUDA device multiplies by the reciprocal of a number instead, and a
    # centre on the border of two cells would then fall to either, as the machine likes.
    size, step = centre.new_tensor(length), centre.new_tensor(1 / grid)

    def cell(position: Tensor) -> Tensor:
        return torch.div(position / size, step, rounding_mode="trunc").long()

    middle = cell(centre)
    first = torch.maximum(cell(centre - half).clamp(min=0), middle - 1)
    last = torch.minimum(cell(centre + half).clamp(max=grid - 1), middle + 1)
    cells = middle[:, None] + torch.arange(-1, 2, device=middle.device)
    return cells, (cells >= first[:, None]) & (cells <= last[:, None])


def _labels(
    cells: Tensor, owners: Tensor, instances: Instances, grid: int, num_classes: int
) -> Tensor:
    last = owners.new_full((grid * grid,), -1).scatter_reduce_(0, cells, owners, "amax")
    if len(instances.labels) == 0:
        return last.fill_(num_classes).view(grid, grid)
    found = instances.labels[last.clamp(min=0)]
    return torch.where(last >= 0, found, num_classes).view(grid, grid)
