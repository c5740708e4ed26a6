"""ScaleBands: outlines and surroundings of objects follow the teacher's, whatever their size.

An own design, not published, after Liu et al., BPKD, WACV 2024: what its supplement's section 4
names as future work, "a specialized loss term for instance-level knowledge distillation".
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bpkd.datasets.instances import Instances
from bpkd.errors import UserError
from bpkd.losses.divergence import bernoulli_kl, kl_divergence
from bpkd.losses.instance.matching import Match, Matching, Ranges, level_mean
from bpkd.networks.base import InstanceOutput
from bpkd.networks.solov2.targets import STRIDE, padded_masks, reduced

# Far below any logit, yet finite: its softmax is 0 and differences of it are not nan.
_NOWHERE = -1e4


def scaled_bands(masks: Tensor, share: float = 0.05) -> Tensor:
    """The band round each mask's outline, as wide as the object is large.

    A pixel is in it when both the mask and what is not the mask come within max(1, ρ √a) pixels,
    rounded, of it, in rows and columns; a is the mask's area. The frame is no outline.

    Args:
        masks: (K, h, w) bool.
        share: ρ, half of the band's width as a share of √a.

    Returns:
        (K, h, w) bool.

    Example:
        >>> scaled_bands(torch.tensor([[[1, 1, 1, 0, 0, 0]]]).bool())[0, 0].int().tolist()
        [0, 0, 1, 1, 0, 0]
    """
    widths = (share * masks.flatten(1).sum(1).float().sqrt()).round().clamp(min=1).long()
    bands = torch.zeros_like(masks)
    for width in widths.unique().tolist():  # type: ignore[no-untyped-call]
        chosen = widths == width
        inside = masks[chosen].float()
        bands[chosen] = (_spread(inside, width) > 0) & (_spread(1 - inside, width) > 0)
    return bands


def surroundings(masks: Tensor, margin: float = 0.25) -> Tensor:
    """The box of each mask, larger by a share of its sides at each side: (K, h, w) bool.

    Example:
        >>> surroundings(torch.tensor([[[0, 0, 1, 1, 0, 0]]]).bool(), 0.5)[0, 0].int().tolist()
        [0, 1, 1, 1, 1, 0]
    """
    rows, columns = masks.any(2), masks.any(1)
    return _stretched(rows, margin)[:, :, None] & _stretched(columns, margin)[:, None, :]


class ScaleBands(nn.Module):
    """Divergences in a band and round it, averaged over objects, then over sizes.

    ``band``: mean KL of the sigmoids in :func:`scaled_bands`; ``body``: in the enlarged box,
    outside the band. A mask counts as a share of its object, an object as a share of its size
    (COCO's small, medium, large), and the sizes alike: few large objects weigh as much as many
    small ones. Where image, objects and limits double, the terms stay, up to rounding and least
    widths. With the weights each term pulls about half as hard as the student's own loss. Not yet
    shown to help.

    Args:
        share: half of the band's width as a share of the square root of the object's area.
        margin: how much larger the box is at each side, as a share of that side.
        body: ``bernoulli``, the mean KL of the sigmoids, or ``spatial``, the KL of the softmax
            over these pixels.
        limits: sides in pixels of the input at which medium and large begin.
        match: ``cells`` or ``objects``, which of the teacher's masks is an object's.
        scale_ranges: sizes of the objects of the student's levels, ``light``, ``full`` or a pair
            a level.
        teacher_scale_ranges: the same of the teacher's levels.
    """

    weights: ClassVar[dict[str, float]] = {"band": 0.5, "body": 0.5}
    task: ClassVar[str] = "instance"

    def __init__(
        self,
        share: float = 0.05,
        margin: float = 0.25,
        body: Literal["bernoulli", "spatial"] = "bernoulli",
        limits: Sequence[float] = (32, 96),
        match: Match = "objects",
        scale_ranges: Ranges = "light",
        teacher_scale_ranges: Ranges = "full",
    ) -> None:
        super().__init__()
        if share <= 0 or margin < 0:
            raise UserError(f"ScaleBands: share {share} and margin {margin}: expected above 0")
        if body not in ("bernoulli", "spatial"):
            raise UserError(f"ScaleBands: body is {body!r}; expected bernoulli or spatial")
        self.share, self.margin, self.body = share, margin, body
        self.limits = tuple(limits)
        self.matching = Matching(match, scale_ranges, teacher_scale_ranges)

    def forward(
        self, student: InstanceOutput, teacher: InstanceOutput, targets: Sequence[Instances]
    ) -> dict[str, Tensor]:
        """Outputs of both networks and a batch's instances -> ``band`` and ``body``."""
        levels = self.matching(student, teacher, targets)
        h, w = student.mask_features.shape[-2:]
        size = (STRIDE * h, STRIDE * w)
        objects = torch.cat([level.objects for level in levels])
        if not len(objects):
            return {term: level_mean([], student) for term in self.weights}
        masks = torch.cat([reduced(padded_masks(each.masks, size)) for each in targets])
        areas = torch.cat([each.masks.flatten(1).sum(1) for each in targets])
        bands = scaled_bands(masks, self.share)
        bodies = surroundings(masks, self.margin) & ~bands
        mine, theirs = (torch.cat([level[i] for level in levels]) for i in (0, 1))
        shares = size_shares(objects, areas, self.limits)
        divergence = bernoulli_kl(mine, theirs)
        band = _mean_inside(divergence, bands[objects])
        body = _mean_inside(divergence, bodies[objects])
        if self.body == "spatial":
            body = _spatial(mine, theirs, bodies[objects])
        return {"band": (shares * band).sum(), "body": (shares * body).sum()}


def size_shares(objects: Tensor, areas: Tensor, limits: Sequence[float]) -> Tensor:
    """What each row counts: sizes alike, a size's objects alike, an object's rows alike.

    Args:
        objects: (R,), whose row it is.
        areas: (K,) of the objects, in pixels.
        limits: sides of squares, ascending, at which the next size begins.

    Returns:
        (R,), whose sum is 1.

    Example:
        >>> size_shares(torch.tensor([0, 0, 1, 2]), torch.tensor([4, 9, 400]), [10]).tolist()
        [0.125, 0.125, 0.25, 0.5]
    """
    borders = torch.tensor([side**2 for side in limits], device=areas.device)
    sizes = torch.bucketize(areas, borders, right=True)
    rows = torch.bincount(objects, minlength=len(areas))
    counts = torch.bincount(sizes[rows > 0], minlength=len(borders) + 1)
    present = (counts > 0).sum()
    return 1 / (present * counts[sizes[objects]] * rows[objects])


def _mean_inside(values: Tensor, inside: Tensor) -> Tensor:
    """The mean of each row's values (R, h, w) where it is inside; 0 where nothing is: (R,)."""
    total = (values * inside).flatten(1).sum(1)
    return total / inside.flatten(1).sum(1).clamp(min=1)


def _spatial(student: Tensor, teacher: Tensor, inside: Tensor) -> Tensor:
    """KL of the softmaxes over the pixels inside, one a row; 0 where nothing is: (R,)."""
    mine, theirs = (each.masked_fill(~inside, _NOWHERE).flatten(1) for each in (student, teacher))
    return kl_divergence(mine, theirs, dim=1)


def _spread(values: Tensor, width: int) -> Tensor:
    """The largest value within ``width`` in rows and columns."""
    side, pad = 2 * width + 1, width
    rows = F.max_pool2d(values[:, None], (side, 1), stride=1, padding=(pad, 0))
    return F.max_pool2d(rows, (1, side), stride=1, padding=(0, pad))[:, 0]


def _stretched(line: Tensor, margin: float) -> Tensor:
    """Lines (K, L) that are set from the first set place to the last, and a share further."""
    place = torch.arange(line.shape[1], device=line.device)
    first = torch.where(line, place, line.shape[1]).amin(1)
    last = torch.where(line, place, -1).amax(1)
    more = margin * (last - first + 1).clamp(min=0)
    return (place >= (first - more)[:, None]) & (place <= (last + more)[:, None])
