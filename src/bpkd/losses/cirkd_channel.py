"""CIRKD, the channel terms: how channels of different images relate follows the teacher's.

Yang et al., Cross-Image Relational Knowledge Distillation for Semantic Segmentation, CVPR 2022; the
terms that the authors' code added in 2025 (CIRKDV2).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bpkd.errors import UserError
from bpkd.losses.bases import FeatureLoss
from bpkd.losses.cirkd_memory import cirkd_memory
from bpkd.losses.divergence import kl_divergence
from bpkd.losses.features import average_pool, gathered, zeroed
from bpkd.losses.graph import GraphModule
from bpkd.networks.base import SegOutput


def cirkd_channel(student: Tensor, teacher: Tensor, temperature: float = 0.1) -> Tensor:
    """1 / N² Σ_ij mean over channels of i of KL(softmax over channels of j of teacher ‖ student).

    What the softmax takes is the product of both channels' vectors over the temperature; i = j is
    included.

    Args:
        student: channels (N, D, pixels), of length 1.
        teacher: the same; no gradient flows to them.
        temperature: above 0.

    Returns:
        A scalar >= 0.

    Example:
        >>> student = torch.eye(2)[None]  # rows (1, 0): softmax (0.7311, 0.2689)
        >>> teacher = torch.tensor([[[1.0, 0.0], [1.0, 0.0]]])  # (½, ½)
        >>> round(cirkd_channel(student, teacher, temperature=1.0).item(), 4)
        0.1201
    """
    n, channels, _ = student.shape

    def similarities(rows: Tensor) -> Tensor:
        every = rows.flatten(0, 1)
        return (every @ every.T / temperature).view(n, channels, n, channels)

    divergence = kl_divergence(similarities(student), similarities(teacher.detach()), dim=3)
    return divergence.sum() / (n * n * channels)


class CIRKDChannel(FeatureLoss):
    """Channels as vectors over space: within a batch, against stored ones, and one by one.

    Features are averaged over blocks; the student's pass a head (1x1 convolution, batch norm, ReLU,
    1x1 convolution), so that a student that equals its teacher is not at 0. Ignored pixels are 0 in
    both. In training a call first stores the teacher's channels of all processes' images; the queue
    is equal on all of them. Its rows are as long as a crop has blocks: a run has one crop size.

    Args:
        student_channels: channels of the student's features.
        teacher_channels: channels of the teacher's features.
        slots: channels stored.
        stored_per_call: channels stored a call, at most.
        contrast: stored channels compared with a call.
        pool: side of the blocks that are averaged first, in pixels.
        contrast_temperature: of the similarities, above 0.
        temperature: of the memory's divergence, above 0.
        graph: refine the student's blocks by a graph module first, as the authors do where FitNet
            stands beside.
        feature: name of the features.
        ignore_index: label of pixels that are left out; None keeps them, as published code does.
        seed: of the random choices.
    """

    weights: ClassVar[dict[str, float]] = {
        "channel_mini_batch": 1.0,
        "channel_memory": 0.1,
        "channel_mse": 100.0,
    }
    queue: Tensor
    next: Tensor
    calls: Tensor

    def __init__(
        self,
        student_channels: int,
        teacher_channels: int,
        *,
        slots: int = 10_000,
        stored_per_call: int = 256,
        contrast: int = 2048,
        pool: int = 4,
        contrast_temperature: float = 0.1,
        temperature: float = 1.0,
        graph: bool = False,
        feature: str = "head",
        ignore_index: int | None = 255,
        seed: int = 0,
    ) -> None:
        super().__init__(feature, ignore_index)
        self.graph = GraphModule(student_channels) if graph else nn.Identity()
        self.head = nn.Sequential(
            nn.Conv2d(student_channels, teacher_channels, kernel_size=1, bias=False),
            nn.BatchNorm2d(teacher_channels),
            nn.ReLU(),
            nn.Conv2d(teacher_channels, teacher_channels, kernel_size=1, bias=False),
        )
        self.stored_per_call, self.contrast, self.pool = stored_per_call, contrast, pool
        self.contrast_temperature, self.temperature = contrast_temperature, temperature
        self.seed = seed
        self.generator = torch.Generator().manual_seed(seed)
        # Its second size is known at the first call, or from a checkpoint.
        self.register_buffer("queue", torch.empty(slots, 0))
        self.register_buffer("next", torch.zeros((), dtype=torch.int64))
        self.register_buffer("calls", torch.zeros((), dtype=torch.int64))

    def forward(self, student: SegOutput, teacher: SegOutput, labels: Tensor) -> dict[str, Tensor]:
        """Outputs of both networks and labels (N, H, W) -> the terms in ``weights``."""
        maps, target, valid = self.maps(student, teacher, labels)
        target, _ = average_pool(target, self.pool, valid)
        maps, valid = average_pool(maps, self.pool, valid)
        maps, target = self.head(self.graph(zeroed(maps, valid))), zeroed(target, valid)
        ours = F.normalize(zeroed(maps, valid).flatten(2), dim=2)
        theirs = F.normalize(target.flatten(2), dim=2)
        self._begin_queue(theirs)
        self.generator.manual_seed(self.seed + int(self.calls))
        if self.training:
            self.calls += 1
            self.enqueue(gathered(theirs).flatten(0, 1))
        slots = self.choose(len(self.queue), self.contrast).to(self.queue.device)
        memory = self.queue[slots].to(ours.dtype)
        rows = ours.flatten(0, 1), theirs.flatten(0, 1)
        pixels = ours[:, 0].numel() if valid is None else valid.sum().clamp(min=1)
        return {
            "channel_mini_batch": cirkd_channel(ours, theirs, self.contrast_temperature),
            "channel_memory": cirkd_memory(
                *rows, memory, self.contrast_temperature, self.temperature
            ),
            "channel_mse": (ours - theirs).square().sum() / (pixels * ours.shape[1]),
        }

    def choose(self, total: int, count: int) -> Tensor:
        """``count`` different numbers below ``total``, or all of them, in random order."""
        return torch.randperm(total, generator=self.generator)[:count]

    @torch.no_grad()
    def enqueue(self, rows: Tensor) -> None:
        """Store some of the rows (R, pixels); what would pass the end fills the last slots."""
        kept = rows[self.choose(len(rows), self.stored_per_call).to(rows.device)]
        slots = len(self.queue)
        kept = kept[:slots].to(self.queue.dtype)
        start, stop = int(self.next), int(self.next) + len(kept)
        if stop >= slots:
            start, stop = slots - len(kept), slots
        self.queue[start:stop] = kept
        self.next.fill_(stop % slots)

    def _begin_queue(self, rows: Tensor) -> None:
        slots, pixels = self.queue.shape
        if pixels == 0:
            self.generator.manual_seed(self.seed)
            drawn = torch.randn(slots, rows.shape[2], generator=self.generator)
            self.queue = F.normalize(drawn, dim=1).to(rows)
        elif pixels != rows.shape[2]:
            raise UserError(
                f"CIRKDChannel stores channels of {pixels} blocks and got {rows.shape[2]}: "
                "train with one crop size"
            )

    def _load_from_state_dict(self, state: Mapping[str, Any], prefix: str, *rest: Any) -> None:
        if (stored := state.get(f"{prefix}queue")) is not None:
            self.queue = self.queue.new_empty(stored.shape)
        super()._load_from_state_dict(state, prefix, *rest)  # type: ignore[no-untyped-call]
