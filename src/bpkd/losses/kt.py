"""KT: class maps follow the teacher's, tailored to be sure inside a class and quiet outside it.

Cheung et al., Knowledge Tailoring: Bridging the Teacher-Student Gap in Semantic Segmentation,
Pattern Recognition 2025; logit tailoring. Feature tailoring: :mod:`bpkd.losses.kt_features`.
"""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from bpkd.errors import UserError
from bpkd.losses.bases import LogitLoss
from bpkd.losses.common import Output, as_output, full_precision
from bpkd.losses.cwd import cwd


def tailored(logits: Tensor, labels: Tensor, valid: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Each class's map where the class is, and where it is not; both 0 elsewhere.

    Where it is, entries below a are raised to a, the mean of the positive ones there (nothing is
    raised where none is positive). Where it is not, entries above μ are lowered to μ, their sum
    over the number of **all** pixels. The gradient flows through a and μ too.

    Args:
        logits: (N, C, H, W), at the labels' size.
        labels: (N, H, W); any that is no class is off every class.
        valid: (N, 1, H, W) booleans, the pixels that exist; None for all.

    Returns:
        inside: (N, C, H, W).
        outside: (N, C, H, W).

    Example:
        >>> logits = torch.tensor([3.0, 1.0, -2.0, 1.0, 3.0, -4.0]).view(1, 1, 1, 6)
        >>> inside, outside = tailored(logits, torch.tensor([[[0, 0, 0, 9, 9, 9]]]))
        >>> inside.flatten(), outside.flatten()  # a = 2, μ = 0
        (tensor([3., 2., 2., 0., 0., 0.]), tensor([ 0.,  0.,  0.,  0.,  0., -4.]))
    """
    classes = torch.arange(logits.shape[1], device=logits.device)[:, None, None]
    on, off = labels[:, None] == classes, labels[:, None] != classes
    pixels: Tensor | int = labels[0].numel()
    if valid is not None:
        on, off = on & valid, off & valid
        pixels = valid.sum(dim=(2, 3), keepdim=True).clamp(min=1)
    # torch.where, not a product: what is elsewhere may be large.
    inside = torch.where(on, logits, 0.0)
    outside = torch.where(off, logits, 0.0)
    count = (inside > 0).sum(dim=(2, 3), keepdim=True)
    least = inside.clamp(min=0).sum(dim=(2, 3), keepdim=True) / count.clamp(min=1)
    most = outside.sum(dim=(2, 3), keepdim=True) / pixels
    inside = torch.where(on & (inside < least) & (count > 0), least, inside)
    return inside, torch.where(off & (outside > most), most, outside)


def kt(
    student: Tensor,
    teacher: Tensor,
    labels: Tensor,
    temperature: float = 4.0,
    valid: Tensor | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """Logit tailoring: three times CWD, :func:`bpkd.losses.cwd.cwd`, at the labels' size.

    Args:
        student: logits (N, C, h, w); brought to the labels' size by nearest neighbour.
        teacher: logits (N, C, h', w'), likewise; no gradient flows to them.
        labels: (N, H, W); any that is no class is off every class.
        temperature: T > 0.
        valid: (N, 1, H, W) booleans, the pixels that count; None for all.

    Returns:
        whole: the student **as it is** against the teacher's tailored maps, inside + outside.
        inside: both tailored, where the class is.
        outside: both tailored, where it is not.
    """
    size = labels.shape[-2:]
    ours = F.interpolate(student, size, mode="nearest")
    theirs = F.interpolate(teacher.detach(), size, mode="nearest")
    inside, outside = tailored(ours, labels, valid)
    inside_t, outside_t = tailored(theirs, labels, valid)
    return (
        cwd(ours, inside_t + outside_t, temperature, valid),
        cwd(inside, inside_t, temperature, valid),
        cwd(outside, outside_t, temperature, valid),
    )


class KT(LogitLoss):
    """:func:`kt` on the networks' logits.

    The student is not tailored in the term ``whole``, so a student that equals its teacher is not
    at 0.

    Args:
        temperature: T > 0.
        void: pixels without a class are ``off_class``, as published: off every class; or
            ``left_out``.
        ignore_index: label of pixels without a class.
    """

    weights: ClassVar[dict[str, float]] = {"whole": 1.0, "inside": 1.0, "outside": 1.0}

    def __init__(
        self,
        temperature: float = 4.0,
        void: Literal["off_class", "left_out"] = "off_class",
        ignore_index: int | None = 255,
    ) -> None:
        super().__init__(temperature, ignore_index)
        self.void = void

    def forward(self, student: Output, teacher: Output, labels: Tensor) -> dict[str, Tensor]:
        """Outputs of both networks and labels (N, H, W) -> ``whole``, ``inside``, ``outside``."""
        ours = full_precision(as_output(student).logits)
        theirs = full_precision(as_output(teacher).logits)
        if ours.shape[1] != theirs.shape[1]:
            raise UserError(
                f"the teacher has {theirs.shape[1]} classes and the student {ours.shape[1]}; "
                "both need the same classes in the same order"
            )
        valid = None
        if self.void == "left_out" and self.ignore_index is not None:
            valid = (labels != self.ignore_index).unsqueeze(1)
        whole, inside, outside = kt(ours, theirs, labels.long(), self.temperature, valid)
        return {"whole": whole, "inside": inside, "outside": outside}
