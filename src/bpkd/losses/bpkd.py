"""BPKD: outlines and bodies of objects are distilled apart.

Liu et al., BPKD: Boundary Privileged Knowledge Distillation for Semantic Segmentation, WACV 2024.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from bpkd.boundary import edge_masks
from bpkd.errors import UserError
from bpkd.losses.common import full_precision, labelled_pixels, like_student
from bpkd.losses.cwd import cwd
from bpkd.losses.divergence import kl_divergence
from bpkd.networks.base import SegOutput, resize


def pixel_weights(
    masks: Tensor, class_weights: float | Tensor = 1.0, average: bool = False
) -> Tensor:
    """One weight a pixel that stands for the sum over classes: Σ_c α_c M_ci / n_c.

    n_c is the mask's total for class c over the batch of this process; a class with no edge
    counts 0.

    Args:
        masks: M (N, C, h, w) in [0, 1], as :func:`bpkd.boundary.edges.edge_masks` gives them.
        class_weights: α, a number or (C,).
        average: divide by the number of classes that have an edge, so that the loss does not
            grow with them.

    Returns:
        (N, h, w).

    Example:
        >>> masks = torch.tensor([[[[1.0, 1.0, 0.0]], [[1.0, 0.0, 0.0]], [[0.0, 0.0, 0.0]]]])
        >>> pixel_weights(masks)  # 1/2 + 1/1, 1/2, 0
        tensor([[[1.5000, 0.5000, 0.0000]]])
    """
    totals = masks.sum(dim=(0, 2, 3))
    present = totals > 0
    shares = torch.where(present, class_weights / totals.clamp(min=1e-12), 0.0)
    if average:
        shares = shares / present.sum().clamp(min=1)
    return (masks * shares.view(-1, 1, 1)).sum(dim=1)


def edge_loss(
    student: Tensor,
    teacher: Tensor,
    masks: Tensor,
    class_weights: float | Tensor = 1.0,
    temperature: float = 1.0,
    *,
    pre_mask: bool = True,
    post_mask: bool = True,
    average: bool = False,
    valid: Tensor | None = None,
) -> Tensor:
    """T² Σ_c α_c / n_c Σ_i φ_i M_ci, with φ the KL divergence of each pixel's classes.

    The filtered logits Z M are zero, not minus infinity: every class stays in the softmax.
    No tensor is repeated over classes: see :func:`pixel_weights`.

    Args:
        student: logits (N, C, h, w).
        teacher: logits of the same shape; no gradient flows to them.
        masks: M (N, C, h, w) in [0, 1].
        class_weights: α, a number or (C,).
        temperature: T > 0.
        pre_mask: filter the logits by M before the softmax.
        post_mask: weigh φ by M; without it every valid pixel counts alike for every class
            (M_ci is 1 and n_c the number of those pixels).
        average: the mean over the classes that have an edge instead of the sum.
        valid: (N, 1, h, w) booleans, the pixels that count without ``post_mask``; None for all.

    Returns:
        A scalar >= 0; exactly 0, with a gradient, where there is no edge.

    Example:
        >>> teacher = torch.tensor([0.75, 0.25]).log().view(1, 2, 1, 1)
        >>> student = torch.zeros(1, 2, 1, 1)  # KL = 0.1308 at the one pixel, for two classes
        >>> round(edge_loss(student, teacher, torch.ones(1, 2, 1, 1)).item(), 4)
        0.2616
    """
    counted = masks
    if not post_mask:
        counted = torch.ones_like(masks) if valid is None else valid.to(masks).expand_as(masks)
    weights = pixel_weights(counted, class_weights, average)
    kept: float | Tensor = 1 / temperature
    if pre_mask:
        kept = masks if temperature == 1 else masks / temperature
    divergence = kl_divergence(student * kept, teacher.detach() * kept, dim=1)
    return temperature**2 * (divergence * weights).sum()


def body_loss(
    student: Tensor,
    teacher: Tensor,
    masks: Tensor,
    temperature: float = 1.0,
    *,
    pre_mask: bool = True,
    valid: Tensor | None = None,
) -> Tensor:
    """Channel-wise distillation of what lies off the outlines: CWD of Z (1 - M).

    Args:
        student: logits (N, C, h, w).
        teacher: logits of the same shape; no gradient flows to them.
        masks: M (N, C, h, w) in [0, 1].
        temperature: T > 0.
        pre_mask: filter the logits by 1 - M before the softmax.
        valid: (N, 1, h, w) booleans, the pixels that count; None for all.

    Returns:
        A scalar >= 0.

    Example:
        >>> logits = torch.tensor([[[[0.0, 1.0]]]])
        >>> body_loss(logits, -logits, torch.ones(1, 1, 1, 2)).item()  # all edge: no body
        0.0
    """
    if not pre_mask:
        return cwd(student, teacher, temperature, valid)
    # The temperature goes into the filter: two passes over the logits fewer.
    kept = (1 - masks) / temperature
    return temperature**2 * cwd(student * kept, teacher.detach() * kept, 1.0, valid)


class BPKD(nn.Module):
    """Both terms, ``edge`` and ``body``, with the masks made from the labels.

    The defaults are the best of a few single runs on validation data (docs/results.md), not the
    published settings: those are :func:`published`.

    Args:
        kernel_size: the window of the edge detection, odd, in label pixels.
        class_weights: α of the edge loss, a number or one a class.
        temperature: T > 0, of both terms.
        terms: ``both``, ``edge`` or ``body``.
        pre_mask: filter the logits before the softmax, as published.
        post_mask: weigh the edge loss's divergence by the mask.
        average: the edge loss's mean over classes instead of the published sum.
        edges: where outlines come from: the ``labels``, or the ``teacher``'s own prediction
            (then nothing needs to be labelled).
        ignore_index: label of pixels that are left out.
    """

    weights: dict[str, float] = {"edge": 0.5, "body": 6.0}  # noqa: RUF012
    class_weights: Tensor

    def __init__(
        self,
        kernel_size: int = 7,
        class_weights: float | Sequence[float] = 1.0,
        temperature: float = 1.0,
        *,
        terms: Literal["both", "edge", "body"] = "both",
        pre_mask: bool = False,
        post_mask: bool = True,
        average: bool = False,
        edges: Literal["labels", "teacher"] = "labels",
        ignore_index: int = 255,
    ) -> None:
        super().__init__()
        if kernel_size < 1 or kernel_size % 2 == 0:
            raise UserError(f"BPKD: kernel_size is an odd number of pixels, got {kernel_size}")
        if temperature <= 0:
            raise UserError(f"BPKD: temperature is above 0, got {temperature}")
        self.kernel_size = kernel_size
        self.temperature = temperature
        self.terms = terms
        self.pre_mask, self.post_mask, self.average = pre_mask, post_mask, average
        self.edges = edges
        self.ignore_index = ignore_index
        alpha = torch.tensor(class_weights, dtype=torch.float32)
        self.register_buffer("class_weights", alpha, persistent=False)

    def masks(self, labels: Tensor, student: Tensor, teacher: Tensor) -> Tensor:
        """The edge masks (N, C, h, w) at the student logits' size."""
        if self.edges == "teacher":
            labels = resize(teacher.detach(), labels.shape[-2:]).argmax(dim=1)
        size = (student.shape[-2], student.shape[-1])
        return edge_masks(labels, student.shape[1], self.kernel_size, size, self.ignore_index)

    def check_weights(self, num_classes: int) -> None:
        """Refuse α for another number of classes.

        Raises:
            UserError: names both numbers.
        """
        given = self.class_weights.numel()
        if self.class_weights.ndim and given != num_classes:
            raise UserError(
                f"BPKD: class_weights is one number, or one for each of the {num_classes} "
                f"classes; it has {given}"
            )

    def forward(self, student: SegOutput, teacher: SegOutput, labels: Tensor) -> dict[str, Tensor]:
        """Outputs of both networks and labels (N, H, W) -> the terms ``edge`` and ``body``."""
        logits = full_precision(student.logits)
        target = like_student(full_precision(teacher.logits), logits)
        self.check_weights(logits.shape[1])
        masks = self.masks(labels, logits, teacher.logits).to(logits.dtype)
        # The teacher's outlines are for unlabelled images: there every pixel counts.
        ignored = self.ignore_index if self.edges == "labels" else None
        valid = labelled_pixels(labels, logits, ignored)
        out: dict[str, Tensor] = {}
        if self.terms != "body":
            out["edge"] = edge_loss(
                logits,
                target,
                masks,
                self.class_weights,
                self.temperature,
                pre_mask=self.pre_mask,
                post_mask=self.post_mask,
                average=self.average,
                valid=valid,
            )
        if self.terms != "edge":
            out["body"] = body_loss(
                logits, target, masks, self.temperature, pre_mask=self.pre_mask, valid=valid
            )
        return out


def published() -> BPKD:
    """The settings that readers of the paper report: edge 50, body 20, α 2, kernel 7, both masks.

    The temperature is not known; 1 is taken.

    Example:
        >>> published().weights
        {'edge': 50.0, 'body': 20.0}
    """
    loss = BPKD(kernel_size=7, class_weights=2.0, temperature=1.0, pre_mask=True)
    loss.weights = {"edge": 50.0, "body": 20.0}
    return loss
