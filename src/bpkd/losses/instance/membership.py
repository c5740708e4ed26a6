"""Membership: points far apart in an object belong together as the teacher has them.

An own design, not published, after Liu et al., BPKD, WACV 2024, supplement, section 4 (future
work): against large objects that fall apart or are found by half.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bpkd.datasets.instances import Instances
from bpkd.errors import UserError
from bpkd.losses.common import full_precision
from bpkd.losses.instance.matching import Ranges, comparable, level_mean, object_kernels
from bpkd.networks.base import InstanceOutput
from bpkd.networks.solov2.targets import STRIDE, assign_batch, ranges


def sampled_pairs(boxes: Tensor, count: int, near: float = 0.1) -> Tensor:
    """Pairs of points in each box; of half of them the second lies opposite the first.

    The first is anywhere in the box; the second is its mirror image in the box's centre, or, for
    the other half, at most ``near`` of each side away. By torch's global generator.

    Args:
        boxes: (K, 4), x1 y1 x2 y2.
        count: pairs a box.
        near: a share of the box's sides.

    Returns:
        (2, K, count, 2), x and y.
    """
    corner, side = boxes[:, None, :2], (boxes[:, 2:] - boxes[:, :2])[:, None]
    first = torch.rand(len(boxes), count, 2, device=boxes.device)
    close = first + near * (2 * torch.rand_like(first) - 1)
    far = torch.arange(count, device=boxes.device) < count // 2
    second = torch.where(far[:, None], 1 - first, close.clamp(0, 1))
    return corner + side * torch.stack([first, second])


def affinities(kernels: Tensor, features: Tensor, pairs: Tensor) -> Tensor:
    """The cosine of both points' memberships: each mask's probability there, and of being in none.

    That of none is 1 less the largest. Masks are made at the points alone.

    Args:
        kernels: (K, E), one an object.
        features: mask features (E, h, w).
        pairs: (2, B, M, 2), x and y in pixels of the input.

    Returns:
        (B, M), in [0, 1].

    Example:
        >>> features = torch.tensor([[[9.0, -9.0, 9.0]]])  # stride 4: x from 0 to 12
        >>> pairs = torch.tensor([[[[1.0, 0], [1.0, 0]]], [[[9.0, 0], [5.0, 0]]]])
        >>> both = torch.tensor([[1.0], [-1.0]])  # an object at both ends, another between
        >>> affinities(both, features, pairs).round(decimals=3).tolist()
        [[1.0, 0.0]]
    """
    h, w = features.shape[1:]
    x = (pairs[..., 0] / STRIDE).long().clamp(0, w - 1)
    y = (pairs[..., 1] / STRIDE).long().clamp(0, h - 1)
    at = features[:, y.flatten(), x.flatten()]
    inside = (kernels @ at).sigmoid().view(len(kernels), *x.shape)
    members = torch.cat([inside, 1 - inside.amax(0, keepdim=True)])
    return F.cosine_similarity(members[:, 0], members[:, 1], dim=0)


class Membership(nn.Module):
    """Mean squared difference of the two networks' :func:`affinities`, over objects.

    An object's mask is the mean of the logits of all cells that learn it. With the weight
    it pulls about half as hard as the student's own loss. Not yet shown to help.

    Args:
        points: pairs an object.
        scale_ranges: sizes of the objects of the student's levels, ``light``, ``full`` or a pair
            a level.
        teacher_scale_ranges: the same of the teacher's levels.
    """

    weights: ClassVar[dict[str, float]] = {"membership": 4.0}
    task: ClassVar[str] = "instance"

    def __init__(
        self,
        points: int = 64,
        scale_ranges: Ranges = "light",
        teacher_scale_ranges: Ranges = "full",
    ) -> None:
        super().__init__()
        if points < 2:
            raise UserError(f"Membership: points is {points}; expected at least 2")
        self.points = points
        self.ranges = ranges(scale_ranges), ranges(teacher_scale_ranges)

    def forward(
        self, student: InstanceOutput, teacher: InstanceOutput, targets: Sequence[Instances]
    ) -> dict[str, Tensor]:
        """Outputs of both networks and a batch's instances -> ``membership``."""
        comparable(student, teacher)
        own = assign_batch(targets, student, self.ranges[0])
        theirs = assign_batch(targets, teacher, self.ranges[1])
        found = []
        for image, target in enumerate(targets):
            mine, known = object_kernels(student, image, own[image])
            taught, also = object_kernels(teacher, image, theirs[image])
            both = known & also
            if not both.any():
                continue
            pairs = sampled_pairs(target.boxes[both], self.points)
            features, seen = (
                full_precision(out.mask_features[image]) for out in (student, teacher)
            )
            wanted = affinities(taught[both], seen, pairs).detach()
            difference = affinities(mine[both], features, pairs) - wanted
            found.append(difference.square().mean(1))
        if not found:
            return {"membership": level_mean([], student)}
        return {"membership": torch.cat(found).mean()}
