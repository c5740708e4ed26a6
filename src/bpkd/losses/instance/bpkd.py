"""BPKD for instances: outlines and bodies apart, on the category grids and on each object's mask.

Liu et al., BPKD: Boundary Privileged Knowledge Distillation for Semantic Segmentation, WACV 2024,
supplement, section 4: "multiple times on pyramid classification logits and masked representations,
followed by calculating the average across all levels of sub-terms". What that leaves open is an
argument here, or said in :class:`InstanceBPKD`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, get_args

import torch
from torch import Tensor, nn

from bpkd.datasets.instances import Instances
from bpkd.errors import UserError
from bpkd.losses.bpkd import body_loss, edge_loss
from bpkd.losses.common import full_precision
from bpkd.losses.divergence import bernoulli_kl
from bpkd.losses.edge_reduction import Reduction
from bpkd.losses.instance.matching import Match, Matching, Pairs, Ranges, comparable, level_mean
from bpkd.losses.instance.outlines import grid_edges, object_edges
from bpkd.networks.base import InstanceOutput
from bpkd.networks.solov2.targets import STRIDE


def mask_edge(
    student: Tensor,
    teacher: Tensor,
    masks: Tensor,
    temperature: float = 1.0,
    pre_mask: bool = False,
) -> Tensor:
    """T² Σ M φ / Σ M, with φ the divergence of the sigmoids at a pixel; the mean over objects.

    Args:
        student: mask logits (R, h, w).
        teacher: the same; no gradient flows to them.
        masks: M (R, h, w) in [0, 1], each object's outline.
        temperature: T > 0.
        pre_mask: filter the logits by M before the sigmoid.

    Returns:
        A scalar >= 0; an object without an outline counts 0.

    Example:
        >>> teacher = torch.tensor([[[3.0, 1.0]]]).log()  # 0.75 and 0.5; a KL of 0.1308 and 0
        >>> round(mask_edge(torch.zeros(1, 1, 2), teacher, torch.ones(1, 1, 2)).item(), 4)
        0.0654
    """
    kept = masks / temperature if pre_mask else 1 / temperature
    divergence = bernoulli_kl(student * kept, teacher.detach() * kept) * masks
    total = masks.flatten(1).sum(1).clamp(min=1e-12)
    return temperature**2 * (divergence.flatten(1).sum(1) / total).mean()


class InstanceBPKD(nn.Module):
    """Four terms: ``edge`` and ``body`` of the category grids and of the masks.

    The reading of the text. On the grids BPKD is what it is for semantic segmentation, with the
    label map that the masks make and the C classes of each cell as its logits. Of the "masked
    representations" each object's mask logits are one channel: its edge term compares sigmoids
    round the object's outline, the body term is a softmax over the pixels of that channel. Each
    term is the mean over levels. Weights and settings for instances are not published; with those
    here all terms together pull about as hard as the student's own loss (docs/instances.md has the
    measurement), with those of semantic segmentation twenty to thirty times as hard.

    Args:
        kernel_size: the window of the edge detection, odd, in pixels of the input.
        temperature: T > 0, of all terms.
        pre_mask: filter the logits before softmax and sigmoid, as published.
        reduction: of the edge loss on the grids: ``sum`` of class means, their mean over
            ``classes``, ``mean`` over cells and classes, or over the ``band``.
        match: ``cells`` or ``objects``, which of the teacher's masks is an object's.
        scale_ranges: sizes of the objects of the student's levels, ``light``, ``full`` or a pair
            a level.
        teacher_scale_ranges: the same of the teacher's levels.
    """

    weights: ClassVar[dict[str, float]] = {
        "category_edge": 1.0,
        "category_body": 1.5,
        "mask_edge": 0.5,
        "mask_body": 0.15,
    }
    task: ClassVar[str] = "instance"

    def __init__(
        self,
        kernel_size: int = 7,
        temperature: float = 1.0,
        pre_mask: bool = False,
        reduction: Reduction = "classes",
        match: Match = "cells",
        scale_ranges: Ranges = "light",
        teacher_scale_ranges: Ranges = "full",
    ) -> None:
        super().__init__()
        if kernel_size < 1 or kernel_size % 2 == 0:
            raise UserError(f"InstanceBPKD: kernel_size is an odd number, got {kernel_size}")
        if reduction not in get_args(Reduction):
            known = ", ".join(get_args(Reduction))
            raise UserError(f"InstanceBPKD: reduction is one of {known}, got {reduction!r}")
        self.kernel_size = kernel_size
        self.temperature = temperature
        self.pre_mask, self.reduction = pre_mask, reduction
        self.matching = Matching(match, scale_ranges, teacher_scale_ranges)

    def forward(
        self, student: InstanceOutput, teacher: InstanceOutput, targets: Sequence[Instances]
    ) -> dict[str, Tensor]:
        """Outputs of both networks and a batch's instances -> the four terms."""
        comparable(student, teacher)
        h, w = student.mask_features.shape[-2:]
        size = (STRIDE * h, STRIDE * w)
        levels = self.matching(student, teacher, targets)
        edges = object_edges(targets, size, self.kernel_size)
        masks = [self.of_masks(level, edges) for level in levels if len(level.objects)]
        grids = self.of_grids(student, teacher, targets, size)
        return {
            "category_edge": torch.stack([edge for edge, _ in grids]).mean(),
            "category_body": torch.stack([body for _, body in grids]).mean(),
            "mask_edge": level_mean([edge for edge, _ in masks], student),
            "mask_body": level_mean([body for _, body in masks], student),
        }

    def of_grids(
        self,
        student: InstanceOutput,
        teacher: InstanceOutput,
        targets: Sequence[Instances],
        size: tuple[int, int],
    ) -> list[tuple[Tensor, Tensor]]:
        """Edge and body of each level's category grid."""
        classes = student.category[0].shape[1]
        grids = [level.shape[-1] for level in student.category]
        edges = grid_edges(targets, size, classes, grids, self.kernel_size)
        terms = []
        for mine, theirs, edge in zip(student.category, teacher.category, edges, strict=True):
            logits, target = full_precision(mine), full_precision(theirs)
            masks = edge.to(logits.dtype)
            given: dict[str, Any] = {"temperature": self.temperature, "pre_mask": self.pre_mask}
            terms.append(
                (
                    edge_loss(logits, target, masks, reduction=self.reduction, **given),
                    body_loss(logits, target, masks, **given),
                )
            )
        return terms

    def of_masks(self, level: Pairs, edges: Tensor) -> tuple[Tensor, Tensor]:
        """Edge and body of a level's masks."""
        masks = edges[level.objects].to(level.student.dtype)
        edge = mask_edge(level.student, level.teacher, masks, self.temperature, self.pre_mask)
        every = level.student[None], level.teacher[None], masks[None]
        return edge, body_loss(*every, self.temperature, pre_mask=self.pre_mask)
