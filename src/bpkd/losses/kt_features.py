"""KT, the part on features: channels follow the teacher's, mixed by how alike channels are.

Cheung et al., Knowledge Tailoring: Bridging the Teacher-Student Gap in Semantic Segmentation,
Pattern Recognition 2025; feature tailoring and its triplets. Logits: :mod:`bpkd.losses.kt`.
"""

from __future__ import annotations

from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bpkd.losses.bases import FeatureLoss
from bpkd.losses.cwd import cwd
from bpkd.losses.features import zeroed
from bpkd.networks.base import SegOutput


def mixed(source: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Channels of ``source``, mixed for each channel of ``target`` by likeness, and by unlikeness.

    R is the cosine over space of each channel of the target with each of the source; what comes
    back is R times the source, and 1 - R (entry by entry) times the source.

    Args:
        source: (N, D, h, w).
        target: (N, D', h, w).

    Returns:
        Two of (N, D', h, w). The gradient flows through R.

    Example:
        >>> maps = torch.tensor([[[[3.0, 0.0]], [[0.0, 2.0]]]])  # two channels at right angles
        >>> [part.flatten(2).tolist() for part in mixed(maps, maps)]
        [[[[3.0, 0.0], [0.0, 2.0]]], [[[0.0, 2.0], [3.0, 0.0]]]]
    """
    ours, theirs = source.flatten(2), target.flatten(2)
    alike = F.normalize(theirs, dim=2) @ F.normalize(ours, dim=2).transpose(1, 2)
    return (alike @ ours).reshape(target.shape), ((1 - alike) @ ours).reshape(target.shape)


def row_triplet(
    anchor: Tensor, near: Tensor, far: Tensor, margin: float = 1.0, valid: Tensor | None = None
) -> Tensor:
    """Mean over images, channels and rows of max(d(anchor, near) - d(anchor, far) + margin, 0).

    d is the length of the difference **along the width only** (1e-7 added to each entry).

    Args:
        anchor: (N, D, h, w).
        near: of the same shape.
        far: of the same shape.
        margin: above 0.
        valid: (N, 1, h, w) booleans, the pixels that count; None for all.

    Example:
        >>> anchor = torch.zeros(1, 1, 1, 2)
        >>> far = torch.tensor([[[[3.0, 4.0]]]])  # 5 away; near is 4.5 away
        >>> round(row_triplet(anchor, 0.9 * far, far).item(), 4)
        0.5
    """
    rows = anchor.new_ones(()).expand(len(anchor), 1, anchor.shape[2])
    differences = [anchor - near + 1e-7, anchor - far + 1e-7]
    if valid is not None:
        rows = valid.any(dim=3).to(anchor.dtype)
        differences = [difference * valid for difference in differences]
    d_near, d_far = (torch.linalg.vector_norm(each, dim=3) for each in differences)
    terms: Tensor = (d_near - d_far + margin).clamp(min=0) * rows
    return terms.sum() / (rows.sum().clamp(min=1) * anchor.shape[1])


def tail(channels: int) -> nn.Sequential:
    """1x1, ReLU, 1x1, ReLU, 1x1, with half the channels between."""
    half = max(1, channels // 2)
    return nn.Sequential(
        nn.Conv2d(channels, half, kernel_size=1),
        nn.ReLU(),
        nn.Conv2d(half, half, kernel_size=1),
        nn.ReLU(),
        nn.Conv2d(half, channels, kernel_size=1),
    )


class KTFeatures(FeatureLoss):
    """Feature tailoring: :func:`mixed` channels through a tail, CWD, and :func:`row_triplet`.

    First the student's channels are mixed for the teacher's, later the teacher's for the student's.
    As published, the tails and the anchor's convolution keep their random initial values.

    Args:
        student_channels: channels of the student's features.
        teacher_channels: channels of the teacher's features.
        early_iters: calls in training in which the student's channels are mixed.
        temperature: T > 0.
        feature: name of the features.
        ignore_index: label of pixels that are left out; None keeps them, as published code does.
    """

    weights: ClassVar[dict[str, float]] = {"features": 1.0, "triplet": 1.0}
    calls: Tensor

    def __init__(
        self,
        student_channels: int,
        teacher_channels: int,
        early_iters: int = 10_000,
        temperature: float = 4.0,
        feature: str = "head",
        ignore_index: int | None = 255,
    ) -> None:
        super().__init__(feature, ignore_index)
        self.early, self.late = tail(teacher_channels), tail(student_channels)
        self.anchor = nn.Conv2d(student_channels, teacher_channels, kernel_size=1, bias=False)
        self.requires_grad_(False)
        self.register_buffer("calls", torch.zeros((), dtype=torch.int64))
        self.early_iters = early_iters
        self.temperature = temperature

    def forward(self, student: SegOutput, teacher: SegOutput, labels: Tensor) -> dict[str, Tensor]:
        """Outputs of both networks and labels (N, H, W) -> ``features`` and ``triplet``."""
        maps, target, valid = self.maps(student, teacher, labels)
        maps, target = zeroed(maps, valid), zeroed(target, valid)
        early = int(self.calls) < self.early_iters
        if self.training:
            self.calls += 1
        if early:
            near, far = (self.early(part) for part in mixed(maps, target))
            features = cwd(near, target, self.temperature, valid)
            anchor = self.anchor(maps)
        else:
            near, far = (self.late(part) for part in mixed(target, maps))
            features = cwd(maps, near, self.temperature, valid)  # near is detached in here
            anchor = maps
        return {"features": features, "triplet": row_triplet(anchor, near, far, valid=valid)}
