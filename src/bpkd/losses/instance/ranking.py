"""Ranking: of the cells that see one object, the student prefers those that the teacher prefers.

An own design, not published, after Liu et al., BPKD, WACV 2024, supplement, section 4 (future
work): against duplicates, and against the worse of two masks being the one that stays.
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
from bpkd.losses.divergence import kl_divergence
from bpkd.losses.instance.matching import comparable, level_mean
from bpkd.networks.base import InstanceOutput, mask_logits
from bpkd.networks.solov2.targets import STRIDE, padded_masks, reduced

# Far below any log score, yet finite: its softmax is 0 and differences of it are not nan.
_NOWHERE = -1e4


def log_scores(category: Tensor, masks: Tensor) -> Tensor:
    """log(class probability x maskness), maskness being Σ p² / Σ p over the mask's pixels.

    It is the mean probability of a pixel that is drawn from the mask: near the published one, the
    mean over pixels above a half, but smooth, and there where no pixel is above a half.

    Args:
        category: (R,) logits of one class each.
        masks: (R, h, w) logits.

    Returns:
        (R,), at most 0.

    Example:
        >>> log_scores(torch.zeros(1), torch.zeros(1, 1, 2)).exp()  # 0.5 x 0.5
        tensor([0.2500])
    """
    log_p = F.logsigmoid(masks.flatten(1))
    maskness = torch.logsumexp(2 * log_p, 1) - torch.logsumexp(log_p, 1)
    return F.logsigmoid(category) + maskness


class Ranking(nn.Module):
    """KL of the softmaxes of :func:`log_scores` over an object's cells; the mean over objects.

    An object's cells are those, of all levels, where the teacher's probability of its class is
    highest, as far as the teacher's mask there overlaps the object. Objects of fewer than two are
    left out. With the weight it pulls about half as hard as the student's own loss. Not yet shown
    to help.

    Args:
        cells: how many cells of an object are looked at.
        overlap: least IoU of the teacher's mask with the object's.
    """

    weights: ClassVar[dict[str, float]] = {"ranking": 3.0}
    task: ClassVar[str] = "instance"

    def __init__(self, cells: int = 8, overlap: float = 0.3) -> None:
        super().__init__()
        if cells < 2 or not 0 <= overlap <= 1:
            raise UserError(
                f"Ranking: cells is {cells} and overlap {overlap}; expected at least 2, and 0 to 1"
            )
        self.cells, self.overlap = cells, overlap

    def forward(
        self, student: InstanceOutput, teacher: InstanceOutput, targets: Sequence[Instances]
    ) -> dict[str, Tensor]:
        """Outputs of both networks and a batch's instances -> ``ranking``."""
        comparable(student, teacher)
        found = []
        for image, target in enumerate(targets):
            h, w = teacher.mask_features.shape[-2:]
            masks = reduced(padded_masks(target.masks, (STRIDE * h, STRIDE * w)))
            used = masks.flatten(1).any(1) & ~target.crowd
            if used.any():
                found.append(
                    self.of_image(student, teacher, image, target.labels[used], masks[used])
                )
        if not found or not sum(map(len, found)):
            return {"ranking": level_mean([], student)}
        return {"ranking": torch.cat(found).mean()}

    def of_image(
        self,
        student: InstanceOutput,
        teacher: InstanceOutput,
        image: int,
        labels: Tensor,
        masks: Tensor,
    ) -> Tensor:
        """The divergence of each object that has two cells or more."""
        with torch.no_grad():
            taught = _Cells(teacher, image)
            count = min(self.cells, taught.category.shape[1])
            cells = taught.category[labels].topk(count, dim=1).indices
            seen = taught.masks(cells)
            inside = seen.flatten(2) > 0
            own = masks.flatten(1)[:, None]
            union = (inside | own).sum(2).clamp(min=1)
            kept = (inside & own).sum(2) / union >= self.overlap
            wanted = taught.scores(labels, cells, seen)
        several = kept.sum(1) >= 2
        labels, cells, kept = labels[several], cells[several], kept[several]
        mine = _Cells(student, image)
        scores = mine.scores(labels, cells, mine.masks(cells))
        return kl_divergence(
            scores.masked_fill(~kept, _NOWHERE), wanted[several].masked_fill(~kept, _NOWHERE), dim=1
        )


class _Cells:
    """All cells of an image, through all levels."""

    def __init__(self, output: InstanceOutput, image: int) -> None:
        self.category, self.kernels = (
            full_precision(torch.cat([level[image].flatten(1) for level in levels], dim=1))
            for levels in (output.category, output.kernels)
        )
        self.features = full_precision(output.mask_features[image])

    def masks(self, cells: Tensor) -> Tensor:
        """Logits (K, M, h, w) of cells (K, M)."""
        masks = mask_logits(self.kernels[:, cells.flatten()].T, self.features)
        return masks.view(*cells.shape, *masks.shape[1:])

    def scores(self, labels: Tensor, cells: Tensor, masks: Tensor) -> Tensor:
        """(K, M) of cells (K, M) for each object's class (K,)."""
        category = self.category[labels[:, None], cells]
        return log_scores(category.flatten(), masks.flatten(0, 1)).view(cells.shape)
