"""CIRKD, the mini-batch term: how pixels of different images relate follows the teacher.

Yang et al., Cross-Image Relational Knowledge Distillation for Semantic Segmentation, CVPR 2022.
The terms with a memory: :mod:`bpkd.losses.cirkd_memory`.
"""

from __future__ import annotations

from typing import ClassVar

import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor

from bpkd.errors import UserError
from bpkd.losses.bases import FeatureLoss
from bpkd.losses.features import average_pool, gathered
from bpkd.losses.related import related_kl
from bpkd.networks.base import SegOutput


def cirkd_mini_batch(
    student: Tensor,
    teacher: Tensor,
    temperature: float = 0.1,
    valid: Tensor | None = None,
    images: slice | None = None,
) -> Tensor:
    """1 / N² Σ_ij mean over pixels of i of KL(softmax over pixels of j of teacher ‖ of student).

    What the softmax takes is the cosine of both pixels' features over the temperature; i = j is
    included.

    Args:
        student: feature maps (N, D, h, w).
        teacher: feature maps (N, D', h, w); no gradient flows to them.
        temperature: above 0.
        valid: (N, 1, h, w) booleans, the pixels that count; None for all.
        images: the images that i runs over; None for all.

    Returns:
        A scalar >= 0. Its time grows with (N h w)², its memory with N h w.

    Example:
        >>> import torch
        >>> student = torch.tensor([[[[1.0, 0.0]], [[0.0, 1.0]]]])  # two pixels at right angles
        >>> teacher = torch.ones(1, 2, 1, 2)  # KL(1/2, 1/2 ‖ e/(e+1), 1/(e+1)) = 0.1201
        >>> round(cirkd_mini_batch(student, teacher, temperature=1.0).item(), 4)
        0.1201
    """
    ours = F.normalize(student, dim=1).flatten(2)
    theirs = F.normalize(teacher.detach(), dim=1).flatten(2)
    n, _, pixels = ours.shape
    counted = ours.new_ones(n, pixels) if valid is None else valid.flatten(1).to(ours.dtype)
    chosen = counted[images or slice(None)]
    weights = chosen / chosen.sum(dim=1, keepdim=True).clamp(min=1) / (len(chosen) * n)
    left, right = (
        (
            maps[images or slice(None)].movedim(1, 2).flatten(0, 1) / temperature,
            maps.movedim(1, 0).flatten(1),
        )
        for maps in (ours, theirs)
    )
    known = None if valid is None else valid.flatten()
    return related_kl(left, right, weights.flatten(), pixels, known)


class CIRKDMiniBatch(FeatureLoss):
    """:func:`cirkd_mini_batch` on feature maps, which may differ in channels.

    Args:
        temperature: of the similarities, above 0.
        pool: side of the blocks that are averaged first, in pixels; 1 for none. The authors'
            code takes 2 for SegFormer, and 4 for maps of 256x256 and more.
        across_processes: compare with the images of all processes; the authors' code does not.
        feature: name of the features.
        ignore_index: label of pixels that are left out; None keeps them, as published code does.
    """

    weights: ClassVar[dict[str, float]] = {"mini_batch": 1.0}

    def __init__(
        self,
        temperature: float = 0.1,
        pool: int = 1,
        across_processes: bool = False,
        feature: str = "head",
        ignore_index: int | None = 255,
    ) -> None:
        super().__init__(feature, ignore_index)
        self.temperature = temperature
        self.pool = pool
        self.across_processes = across_processes

    def forward(self, student: SegOutput, teacher: SegOutput, labels: Tensor) -> dict[str, Tensor]:
        """Outputs of both networks and labels (N, H, W) -> the term ``mini_batch``.

        Raises:
            UserError: there is only one image.
        """
        maps, target, valid = self.maps(student, teacher, labels)
        target, _ = average_pool(target, self.pool, valid)
        maps, valid = average_pool(maps, self.pool, valid)
        n, first = len(maps), 0
        if self.across_processes and dist.is_available() and dist.is_initialized():
            maps, target, first = gathered(maps), gathered(target), dist.get_rank() * n
            valid = valid if valid is None else gathered(valid.byte()).bool()
        if len(maps) < 2:
            raise UserError(
                "CIRKDMiniBatch relates images to each other and got one: "
                "train with a batch_size of 2 or more on each process"
            )
        images = slice(first, first + n)
        return {"mini_batch": cirkd_mini_batch(maps, target, self.temperature, valid, images)}
