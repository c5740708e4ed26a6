"""CIRKD, the memory terms: how pixels relate to stored ones of each class follows the teacher.

Yang et al., Cross-Image Relational Knowledge Distillation for Semantic Segmentation, CVPR 2022.
"""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bpkd.errors import UserError
from bpkd.losses.features import feature_maps, gathered, nearest_labels
from bpkd.losses.related import related_kl
from bpkd.networks.base import SegOutput


def cirkd_memory(
    student: Tensor,
    teacher: Tensor,
    memory: Tensor,
    contrast_temperature: float = 0.1,
    temperature: float = 1.0,
) -> Tensor:
    """T² times the mean over pixels of KL(softmax(X t / τ / T) ‖ softmax(X z / τ / T)).

    Args:
        student: embeddings z (V, D), a row a pixel, of length 1.
        teacher: embeddings t (V, D), the same; no gradient flows to them.
        memory: stored embeddings X (M, D).
        contrast_temperature: τ > 0.
        temperature: T > 0.

    Returns:
        A scalar >= 0; 0 where there is no pixel.

    Example:
        >>> student, teacher = torch.tensor([[0.0, 1.0]]), torch.tensor([[0.6, 0.8]])
        >>> memory = torch.eye(2)  # softmax of (0, 1): 0.2689; of (0.6, 0.8): 0.4502
        >>> round(cirkd_memory(student, teacher, memory, contrast_temperature=1.0).item(), 4)
        0.0753
    """
    scaled = memory.T / (contrast_temperature * temperature)
    weights = student.new_full((len(student),), temperature**2 / max(len(student), 1))
    return related_kl((student, scaled), (teacher, scaled), weights, scaled.shape[1])


class CIRKDMemory(nn.Module):
    """:func:`cirkd_memory` against stored pixels and against stored means of regions.

    Each class has a queue of the teacher's pixels and one of its means over the class's pixels of
    an image. In training a call stores first, from the images of all processes in the order of
    their ranks; the queues are equal on all processes, for every random choice is a function of
    ``seed`` and the number of calls. The student's features pass a head, 1x1 convolution, batch
    norm, ReLU, 1x1 convolution, and so are not at 0 in a student that equals its teacher. Only
    the head's batch statistics see pixels that are ignored. The queues hold num_classes *
    (pixel_slots + region_slots) * teacher_channels numbers: 0.4 GB at 19 classes and 256 channels.

    Args:
        student_channels: channels of the student's features.
        teacher_channels: channels of the teacher's features.
        num_classes: number of classes C.
        pixel_slots: pixels stored a class.
        region_slots: means stored a class.
        pixels_per_image: pixels stored of a class of an image, at most.
        pixel_contrast: stored pixels compared with a call: pixel_contrast // C + 1 a class.
        region_contrast: the same for means.
        contrast_temperature: of the similarities, above 0.
        temperature: of the divergence, above 0.
        enqueue: ``fixed``, pixels of the class; or ``official``: the authors' code stores random
            ones of the image's first pixels, as many as the class has, whatever their class.
        feature: name of the features.
        ignore_index: label of pixels without a class.
        seed: of the random choices.
    """

    weights: ClassVar[dict[str, float]] = {"pixel_memory": 0.1, "region_memory": 0.1}
    task: ClassVar[str] = "semantic"
    pixel_queue: Tensor
    region_queue: Tensor
    pixel_next: Tensor
    region_next: Tensor
    calls: Tensor

    def __init__(
        self,
        student_channels: int,
        teacher_channels: int,
        num_classes: int,
        *,
        pixel_slots: int = 20000,
        region_slots: int = 2000,
        pixels_per_image: int = 16,
        pixel_contrast: int = 4096,
        region_contrast: int = 1024,
        contrast_temperature: float = 0.1,
        temperature: float = 1.0,
        enqueue: Literal["fixed", "official"] = "fixed",
        feature: str = "head",
        ignore_index: int = 255,
        seed: int = 0,
    ) -> None:
        super().__init__()
        if min(pixel_slots, region_slots) < 1:
            raise UserError(
                f"CIRKDMemory: pixel_slots {pixel_slots}, region_slots {region_slots}: expected 1 "
                "or more of each"
            )
        self.head = nn.Sequential(
            nn.Conv2d(student_channels, teacher_channels, kernel_size=1, bias=False),
            nn.BatchNorm2d(teacher_channels),
            nn.ReLU(),
            nn.Conv2d(teacher_channels, teacher_channels, kernel_size=1, bias=False),
        )
        self.pixels_per_image = pixels_per_image
        self.pixel_contrast = min(pixel_slots, pixel_contrast // num_classes + 1)
        self.region_contrast = min(region_slots, region_contrast // num_classes + 1)
        self.contrast_temperature, self.temperature = contrast_temperature, temperature
        self.enqueue_as, self.feature = enqueue, feature
        self.ignore_index, self.seed = ignore_index, seed
        self.generator = torch.Generator().manual_seed(seed)
        for name, slots in (("pixel", pixel_slots), ("region", region_slots)):
            rows = torch.randn(num_classes, slots, teacher_channels, generator=self.generator)
            self.register_buffer(f"{name}_queue", F.normalize(rows, dim=2))
            self.register_buffer(f"{name}_next", torch.zeros(num_classes, dtype=torch.int64))
        self.register_buffer("calls", torch.zeros((), dtype=torch.int64))

    def forward(self, student: SegOutput, teacher: SegOutput, labels: Tensor) -> dict[str, Tensor]:
        """Outputs and labels (N, H, W) -> the terms ``pixel_memory`` and ``region_memory``."""
        maps, target = feature_maps(student, teacher, self.feature)
        embedded, target = F.normalize(self.head(maps), dim=1), F.normalize(target, dim=1)
        small = nearest_labels(labels, maps.shape[-2:])
        self.generator.manual_seed(self.seed + int(self.calls))
        if self.training:
            self.calls += 1
            self.enqueue(gathered(target), gathered(small))
        kept = small != self.ignore_index
        ours, theirs = embedded.movedim(1, -1)[kept], target.movedim(1, -1)[kept]
        terms = {}
        for name in ("pixel", "region"):
            queue: Tensor = getattr(self, f"{name}_queue")
            slots = self.choose(queue.shape[1], getattr(self, f"{name}_contrast"))
            # A copy, not a view: the next call writes to the queue, perhaps before the backward.
            memory = queue[:, slots.to(queue.device)].flatten(0, 1).to(ours.dtype)
            terms[f"{name}_memory"] = cirkd_memory(
                ours, theirs, memory, self.contrast_temperature, self.temperature
            )
        return terms

    def choose(self, total: int, count: int) -> Tensor:
        """``count`` different numbers below ``total``, or all of them, in random order."""
        return torch.randperm(total, generator=self.generator)[:count]

    @torch.no_grad()
    def enqueue(self, teacher: Tensor, labels: Tensor) -> None:
        """Store pixels and means of each class of each image.

        Args:
            teacher: features (N, D, h, w) of length 1.
            labels: (N, h, w) integers at the features' size.
        """
        labels = labels.cpu()  # once, so that the loops below never wait for the device
        pixel_next, region_next = self.pixel_next.tolist(), self.region_next.tolist()
        for maps, classes in zip(teacher.flatten(2), labels.flatten(1), strict=True):
            for k in classes.unique().tolist():
                if k == self.ignore_index:
                    continue
                where = (classes == k).nonzero().squeeze(1)
                mean = F.normalize(maps[:, where.to(maps.device)].mean(dim=1), dim=0)
                self.region_queue[k, region_next[k]] = mean.to(self.region_queue.dtype)
                region_next[k] = (region_next[k] + 1) % self.region_queue.shape[1]
                chosen = self.choose(len(where), self.pixels_per_image)
                if self.enqueue_as == "fixed":
                    chosen = where[chosen]
                pixel_next[k] = self._store(k, pixel_next[k], maps[:, chosen.to(maps.device)].T)
        self.pixel_next.copy_(torch.tensor(pixel_next))
        self.region_next.copy_(torch.tensor(region_next))

    def _store(self, k: int, start: int, pixels: Tensor) -> int:
        """Write pixels from slot ``start`` on, or to the last slots; the slot that follows."""
        slots = self.pixel_queue.shape[1]
        pixels = pixels[:slots]
        if start + len(pixels) >= slots:
            self.pixel_queue[k, slots - len(pixels) :] = pixels.to(self.pixel_queue.dtype)
            return 0
        self.pixel_queue[k, start : start + len(pixels)] = pixels.to(self.pixel_queue.dtype)
        return start + len(pixels)
