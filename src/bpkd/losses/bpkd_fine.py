"""BPKD at the labels' own resolution: the teacher is followed pixel by pixel along the outlines.

An own design, not published, after Liu et al., BPKD, WACV 2024.
"""

from __future__ import annotations

from typing import ClassVar, Literal, get_args

import torch
from torch import Tensor, nn

from bpkd.boundary.label_maps import shrink
from bpkd.boundary.windows import mixed
from bpkd.errors import UserError
from bpkd.losses.common import Output, labelled_pixels, logit_maps
from bpkd.losses.cwd import cwd
from bpkd.losses.divergence import kl_divergence
from bpkd.losses.edge_trust import Where
from bpkd.networks.base import resize


def outline_weights(
    labels: Tensor, kernel_size: int, ignore_index: int = 255, *, fading: bool = False
) -> Tensor:
    """1 where the window round a label pixel holds another label, 0 elsewhere and where ignored.

    Args:
        labels: (N, H, W) integers.
        kernel_size: side of the window, odd.
        ignore_index: label of pixels without a class; beside one there is an outline.
        fading: the mean over the windows 3, 5, ... ``kernel_size``: highest at the outline.

    Returns:
        (N, H, W) float32 in [0, 1].

    Example:
        >>> labels = torch.tensor([[[0, 0, 0, 1, 1, 1]]])
        >>> outline_weights(labels, 3).tolist()
        [[[0.0, 0.0, 1.0, 1.0, 0.0, 0.0]]]
        >>> outline_weights(labels, 5, fading=True).tolist()
        [[[0.0, 0.5, 1.0, 1.0, 0.5, 0.0]]]
    """
    lowest, highest = (int(v) for v in torch.aminmax(labels))
    codes = shrink(labels, min(lowest, 0), highest)
    windows = range(3, kernel_size + 1, 2) if fading else [kernel_size]
    total = sum(mixed(codes, size).float() for size in windows) / len(windows)
    return total * (labels != ignore_index)


def fine_edge_kl(
    student: Tensor,
    teacher: Tensor,
    labels: Tensor,
    weights: Tensor,
    temperature: float = 1.0,
    where: Where = "all",
) -> Tensor:
    """T² Σ_i w_i KL(softmax(z^t_i / T) ‖ softmax(z^s_i / T)) / Σ_i w_i over label pixels i.

    The logits are brought to the labels' size first, as for the student's own cross-entropy.

    Args:
        student: logits (N, C, h, w).
        teacher: logits of the same shape; no gradient flows to them.
        labels: (N, H, W) integers; those with weight above 0 are classes.
        weights: w (N, H, W).
        temperature: T > 0.
        where: w counts at ``all`` pixels, those that the teacher classes right, or those whose
            label it holds more likely than the student does.

    Returns:
        A scalar >= 0; exactly 0, with a gradient, where no pixel counts.

    Example:
        One of two pixels counts; the teacher says (3/4, 1/4) there, the student (1/2, 1/2).

        >>> teacher = torch.tensor([[0.75, 0.5], [0.25, 0.5]]).log().view(1, 2, 1, 2)
        >>> labels, weights = torch.tensor([[[0, 1]]]), torch.tensor([[[1.0, 0.0]]])
        >>> round(fine_edge_kl(torch.zeros(1, 2, 1, 2), teacher, labels, weights).item(), 4)
        0.1308
    """
    counts = weights > 0
    size = (labels.shape[-2], labels.shape[-1])
    ours, theirs = (
        resize(z, size).movedim(1, -1)[counts] for z in (student, teacher.detach())
    )
    kept, truth = weights[counts], labels[counts].long().unsqueeze(1)
    if where == "teacher_right":
        kept = kept * (theirs.argmax(dim=1, keepdim=True) == truth).squeeze(1)
    elif where == "teacher_better":
        said = [z.detach().log_softmax(dim=1).gather(1, truth).squeeze(1) for z in (ours, theirs)]
        kept = kept * (said[1] > said[0])
    divergence = kl_divergence(ours / temperature, theirs / temperature, dim=1)
    return temperature**2 * (kept * divergence).sum() / kept.sum().clamp(min=1e-12)


class BPKDFine(nn.Module):
    """:func:`fine_edge_kl` along the outlines (``edge``), CWD of the whole image (``body``).

    Args:
        kernel_size: the window of the outlines, odd, in label pixels.
        temperature: T > 0, of the edge term.
        body_temperature: T > 0, of the body term.
        where: see :func:`fine_edge_kl`.
        fading: the edge term's weight falls with the distance to the outline.
        edges: outlines of the ``labels``, or of the ``teacher``'s own prediction.
        ignore_index: label of pixels that are left out.
    """

    weights: ClassVar[dict[str, float]] = {"edge": 1.0, "body": 3.0}
    task: ClassVar[str] = "semantic"

    def __init__(
        self,
        kernel_size: int = 7,
        temperature: float = 1.0,
        body_temperature: float = 4.0,
        *,
        where: Where = "all",
        fading: bool = False,
        edges: Literal["labels", "teacher"] = "labels",
        ignore_index: int = 255,
    ) -> None:
        super().__init__()
        if kernel_size < 3 or kernel_size % 2 == 0:
            raise UserError(f"BPKDFine: kernel_size is an odd number from 3, got {kernel_size}")
        if temperature <= 0 or body_temperature <= 0:
            raise UserError("BPKDFine: temperature and body_temperature are above 0")
        if where not in get_args(Where) or edges not in ("labels", "teacher"):
            raise UserError(f"BPKDFine: no such where or edges: {where!r}, {edges!r}")
        self.kernel_size, self.temperature = kernel_size, temperature
        self.body_temperature = body_temperature
        self.where, self.fading, self.edges = where, fading, edges
        self.ignore_index = ignore_index

    def forward(self, student: Output, teacher: Output, labels: Tensor) -> dict[str, Tensor]:
        """Outputs of both networks and labels (N, H, W) -> the terms ``edge`` and ``body``."""
        logits, target = logit_maps(student, teacher)
        ignored: int | None = self.ignore_index
        if self.edges == "teacher":
            size = (labels.shape[-2], labels.shape[-1])
            labels, ignored = resize(target, size).argmax(dim=1), None
        weights = outline_weights(
            labels, self.kernel_size, self.ignore_index, fading=self.fading
        )
        edge = fine_edge_kl(logits, target, labels, weights, self.temperature, self.where)
        valid = labelled_pixels(labels, logits, ignored)
        return {"edge": edge, "body": cwd(logits, target, self.body_temperature, valid)}
