"""From SOLOv2's outputs to the objects of each image, at the size that the image had."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from bpkd.datasets.instances import Instances, boxes_of
from bpkd.errors import UserError
from bpkd.networks.base import InstanceOutput, mask_logits, resize
from bpkd.networks.solov2.matrix_nms import Kernel, matrix_nms
from bpkd.networks.solov2.targets import STRIDE

#: The area in mask pixels that an object of each level has to exceed.
LEAST_AREA = (8, 8, 16, 32, 32)
# A hundred masks of 800 x 1333 are 0.4 GB, and a network that has learnt nothing yet may see
# something in each of 3872 cells: so many are made, and enlarged, at one time.
_MADE, _ENLARGED = 256, 16


@dataclass(frozen=True)
class PostProcessing:
    """What is kept, as published.

    Attributes:
        score_threshold: a class of a cell has to exceed it.
        mask_threshold: a pixel's probability has to exceed it.
        filter_threshold: least score after matrix NMS.
        nms_pre: how many of the best go through matrix NMS.
        max_per_image: how many stay at most.
        kernel: of matrix NMS, ``gaussian`` or ``linear``.
        sigma: of the gaussian.
    """

    score_threshold: float = 0.1
    mask_threshold: float = 0.5
    filter_threshold: float = 0.05
    nms_pre: int = 500
    max_per_image: int = 100
    kernel: Kernel = "gaussian"
    sigma: float = 2.0


PUBLISHED = PostProcessing()


class Candidates(NamedTuple):
    """M possible objects of one image.

    Attributes:
        cells: (M,) int64, counted through all levels.
        labels: (M,) int64.
        scores: (M,).
        areas: (M,) int64, pixels of the masks at stride 4; None before they are made.
    """

    cells: Tensor
    labels: Tensor
    scores: Tensor
    areas: Tensor | None = None


@torch.no_grad()
def predictions(
    output: InstanceOutput,
    sizes: Sequence[tuple[int, int]],
    original_sizes: Sequence[tuple[int, int]] | None = None,
    settings: PostProcessing = PUBLISHED,
) -> list[Instances]:
    """The objects that a network sees in each image, best first, with ``scores``.

    Args:
        output: of the network.
        sizes: (H, W) of each image in the network's input, without what pads it.
        original_sizes: the size that its masks are to have; None: the same.
        settings: what is kept.

    Raises:
        UserError: another number of sizes than of images, or a size larger than the input.
    """
    original_sizes = sizes if original_sizes is None else original_sizes
    n, _, h, w = output.mask_features.shape
    if not len(sizes) == len(original_sizes) == n:
        raise UserError(f"{n} images have {len(sizes)} and {len(original_sizes)} sizes")
    for size in sizes:
        if size[0] > STRIDE * h or size[1] > STRIDE * w:
            raise UserError(f"an image of {size} does not fit an input of {(4 * h, 4 * w)}")
    found = []
    for image, (size, original) in enumerate(zip(sizes, original_sizes, strict=True)):
        every = scored(output, image, settings)
        best = every.scores.argsort(descending=True, stable=True)[: settings.nms_pre]
        masks = cell_masks(output, image, every.cells[best])
        scores, kept = matrix_nms(
            masks > settings.mask_threshold,
            every.labels[best],
            every.scores[best],
            settings.kernel,
            settings.sigma,
            filter_threshold=settings.filter_threshold,
            max_num=settings.max_per_image,
        )
        final = enlarged(masks[kept], size, original, settings.mask_threshold)
        crowd = torch.zeros(len(final), dtype=torch.bool, device=final.device)
        found.append(Instances(final, every.labels[best[kept]], boxes_of(final), crowd, scores))
    return found


def candidates(category: Sequence[Tensor], score_threshold: float = 0.1) -> Candidates:
    """The cells and classes that are likely, in the order of levels, cells, classes.

    A cell of which the one above, to the left or between both is more likely is none: points NMS.

    Args:
        category: logits (C, S, S) of each level, of one image.
        score_threshold: p has to exceed it.

    Example:
        >>> logits = torch.tensor([[[2.0, 3.0], [-9.0, 1.0]]])
        >>> candidates([logits]).cells.tolist()  # 3 is above 1; 2 has nothing before it
        [0, 1]
    """
    flat = []
    for logits in category:
        p = logits.sigmoid()
        before = F.max_pool2d(p[None], 2, stride=1, padding=1)[0, :, :-1, :-1]
        flat.append(torch.where(p == before, p, 0).flatten(1).T)
    every = torch.cat(flat)
    cells, labels = (every > score_threshold).nonzero(as_tuple=True)
    return Candidates(cells, labels, every[cells, labels])


def scored(output: InstanceOutput, image: int, settings: PostProcessing = PUBLISHED) -> Candidates:
    """An image's candidates with the areas of their masks, without the too small ones.

    A score is the class's probability times the mean of the mask's, over the pixels inside it.
    """
    found = candidates([level[image] for level in output.category], settings.score_threshold)
    cells, place = torch.unique(found.cells, return_inverse=True)
    areas, means = [], []
    for part in torch.split(cells, _MADE):
        masks = cell_masks(output, image, part)
        inside = masks > settings.mask_threshold
        areas.append(inside.flatten(1).sum(1))
        means.append((masks * inside).flatten(1).sum(1) / areas[-1])
    area, mean = torch.cat(areas)[place], torch.cat(means)[place]
    least = torch.cat(
        [
            area.new_full((level[image, 0].numel(),), each)
            for level, each in zip(output.category, LEAST_AREA, strict=True)
        ]
    )
    kept = area > least[found.cells]
    scores = found.scores[kept] * mean[kept]
    return Candidates(found.cells[kept], found.labels[kept], scores, area[kept])


def cell_masks(output: InstanceOutput, image: int, cells: Tensor) -> Tensor:
    """The mask probabilities (M, h, w), at stride 4, of an image's cells (M,)."""
    kernels = torch.cat([level[image].flatten(1) for level in output.kernels], dim=1)
    return mask_logits(kernels[:, cells].T, output.mask_features[image]).sigmoid()


def enlarged(
    masks: Tensor, size: tuple[int, int], original: tuple[int, int], threshold: float = 0.5
) -> Tensor:
    """Probabilities (M, h, w) at stride 4 -> masks (M, H, W) at the image's original size.

    Resized by 4, cut to the image within the padded input, resized to its original size (both
    bilinear), then cut at the threshold.
    """
    h, w = masks.shape[-2:]
    whole = []
    for part in torch.split(masks[:, None], _ENLARGED):
        large = resize(part, (STRIDE * h, STRIDE * w))[..., : size[0], : size[1]]
        whole.append(resize(large, original)[:, 0] > threshold)
    return torch.cat(whole) if whole else masks.new_zeros((0, *original), dtype=torch.bool)
