"""FGD: a pyramid's features follow the teacher's, in objects' boxes, outside, and as a whole.

Yang et al., Focal and Global Knowledge Distillation for Detectors, CVPR 2022.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bpkd.errors import UserError
from bpkd.losses.features import each_level, feature_maps


def attention(maps: Tensor, temperature: float = 0.5) -> tuple[Tensor, Tensor]:
    """Where a map is strong, and which of its channels: shares of |map| times their number.

    Args:
        maps: (N, D, h, w).
        temperature: of both softmaxes, above 0.

    Returns:
        places: (N, h, w), n = h w times a softmax over pixels of the mean over channels.
        channels: (N, D), D times a softmax over channels of the mean over pixels.
    """
    strength = maps.abs()
    n, d, h, w = maps.shape
    places = (strength.mean(dim=1).flatten(1) / temperature).softmax(dim=1).view(n, h, w)
    channels = (strength.mean(dim=(2, 3)) / temperature).softmax(dim=1)
    return h * w * places, d * channels


def box_masks(
    boxes: Sequence[Tensor], sizes: Sequence[Sequence[int]], h: int, w: int
) -> tuple[Tensor, Tensor]:
    """How much each cell of a map counts as a part of an object, and as none.

    A box covers the cells ⌊x1 w / W⌋ to ⌈x2 w / W⌉, both included, and rows alike; each of them
    counts 1 / (rows · columns), counted before the map's border cuts, or the most of several boxes.
    Cells of no box share 1.

    Args:
        boxes: an image each, (K, 4): x1, y1, x2, y2.
        sizes: H and W of each image, which its boxes are divided by.
        h: rows of the map.
        w: columns of the map.

    Returns:
        Both (N, h, w).

    Example:
        >>> foreground, background = box_masks([torch.tensor([[8, 8, 16, 16.0]])], [(32, 32)], 4, 4)
        >>> foreground[0, 1].tolist(), round(1 / background[0, 0, 0].item())
        ([0.0, 0.25, 0.25, 0.0], 12)
    """
    foreground = torch.zeros(len(boxes), h, w, dtype=torch.float64)
    for image, (height, width), mask in zip(boxes, sizes, foreground, strict=True):
        if not len(image):
            continue
        scale = torch.tensor([w, h, w, h], dtype=torch.float64)
        size = torch.tensor([width, height, width, height], dtype=torch.float64)
        cells = image.detach().cpu().double() / size * scale
        first, last = cells[:, :2].floor().long(), cells[:, 2:].ceil().long()
        shares = 1 / (last - first + 1).prod(dim=1).double()
        columns, rows = (
            (place >= first[:, axis, None]) & (place <= last[:, axis, None])
            for axis, place in enumerate((torch.arange(w), torch.arange(h)))
        )
        inside = rows[:, :, None] & columns[:, None]
        mask.copy_((inside * shares[:, None, None]).amax(dim=0))
    outside = (foreground == 0).double()
    count = outside.sum(dim=(1, 2), keepdim=True).clamp(min=1)
    return foreground, outside / count


def focal(
    student: Tensor,
    teacher: Tensor,
    foreground: Tensor,
    background: Tensor,
    temperature: float = 0.5,
) -> tuple[Tensor, Tensor, Tensor]:
    """Squared differences in and outside boxes where the teacher attends; and both's attention.

    Args:
        student: features (N, D, h, w).
        teacher: features of the same shape; no gradient flows to them.
        foreground: (N, h, w), of :func:`box_masks`.
        background: the same.
        temperature: of the attention, above 0.

    Returns:
        foreground: 1 / N Σ A G foreground (student - teacher)², A and G the teacher's attention.
        background: the same with background.
        attention: 1 / N of the sum of absolute differences of both A and both G.

    Example:
        >>> student, teacher = torch.ones(1, 2, 4, 4), torch.zeros(1, 2, 4, 4)
        >>> masks = box_masks([torch.tensor([[8, 8, 16, 16.0]])], [(32, 32)], 4, 4)
        >>> [round(term.item(), 4) for term in focal(student, teacher, *masks)]  # 2 · 4 · ¼
        [2.0, 2.0, 0.0]
    """
    teacher, n = teacher.detach(), len(student)
    places, channels = attention(student, temperature)
    places_t, channels_t = attention(teacher, temperature)
    weights = places_t[:, None] * channels_t[:, :, None, None]
    squares = (weights * (student - teacher).square()).sum(dim=1)
    apart = (channels - channels_t).abs().sum() + (places - places_t).abs().sum()
    terms = [(squares * mask.to(squares)).sum() / n for mask in (foreground, background)]
    return terms[0], terms[1], apart / n


class Context(nn.Module):
    """A map plus what all its places together say: f + conv2(ReLU(LN(conv1(Σ_p a(p) f(p))))).

    a is a softmax over pixels of a 1x1 convolution. conv2 begins at 0.

    Args:
        channels: D.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        half = max(1, channels // 2)
        self.mask = nn.Conv2d(channels, 1, kernel_size=1)
        self.conv1 = nn.Conv2d(channels, half, kernel_size=1)
        self.norm = nn.LayerNorm([half, 1, 1])
        self.conv2 = nn.Conv2d(half, channels, kernel_size=1)
        nn.init.zeros_(self.conv2.weight)
        nn.init.zeros_(self.conv2.bias)  # type: ignore[arg-type]

    def forward(self, maps: Tensor) -> Tensor:
        """(N, D, h, w) -> (N, D, h, w)."""
        shares = self.mask(maps).flatten(2).softmax(dim=2)
        pooled = (maps.flatten(2) @ shares.transpose(1, 2)).unsqueeze(3)
        added: Tensor = self.conv2(F.relu(self.norm(self.conv1(pooled))))
        return maps + added


class FGD(nn.Module):
    """:func:`focal`, and ``relation``, the squared difference of both maps with their context.

    For instances. A 1x1 convolution brings the student's channels to the teacher's where they
    differ. The weights are those of the authors' SOLO; they clip gradients to a norm of 35.

    Args:
        student_channels: channels of the student's features: one number, or one a feature.
        teacher_channels: channels of the teacher's features, the same.
        temperature: of the attention, above 0.
        boxes_over: what boxes are divided by: the ``padded`` batch, which the maps cover, or, as
            in the authors' code, each ``image`` without its padding.
        features: names of the features.
    """

    weights: ClassVar[dict[str, float]] = {
        "foreground": 1e-3,
        "background": 5e-4,
        "attention": 5e-4,
        "relation": 5e-6,
    }
    task = "instance"

    def __init__(
        self,
        student_channels: int | Sequence[int],
        teacher_channels: int | Sequence[int],
        temperature: float = 0.5,
        boxes_over: Literal["padded", "image"] = "padded",
        features: Sequence[str] = ("p2", "p3", "p4", "p5"),
    ) -> None:
        super().__init__()
        ours = each_level(student_channels, features)
        theirs = each_level(teacher_channels, features)
        self.adapters = nn.ModuleList(
            nn.Identity() if a == b else nn.Conv2d(a, b, kernel_size=1)
            for a, b in zip(ours, theirs, strict=True)
        )
        self.ours = nn.ModuleList(map(Context, theirs))
        self.theirs = nn.ModuleList(map(Context, theirs))
        self.temperature, self.boxes_over = temperature, boxes_over
        self.features = tuple(features)

    def forward(self, student: Any, teacher: Any, target: Any) -> dict[str, Tensor]:
        """Outputs of both networks and each image's instances -> the terms in ``weights``.

        Raises:
            UserError: the target is labels: there are no boxes.
        """
        if isinstance(target, Tensor):
            raise UserError("FGD learns in objects' boxes: it needs a data set of instances")
        boxes = [each.boxes[~each.crowd] for each in target]
        sizes = [tuple(each.masks.shape[1:]) for each in target]
        if self.boxes_over == "padded":
            h, w = student.mask_features.shape[-2:]
            sizes = [(4 * h, 4 * w)] * len(boxes)
        terms: dict[str, Tensor] = {}
        for level, name in enumerate(self.features):
            maps, theirs = feature_maps(student, teacher, name)
            for term, value in zip(
                self.weights, self.level(level, maps, theirs, boxes, sizes), strict=True
            ):
                terms[term] = terms.get(term, 0) + value
        return terms

    def level(
        self,
        level: int,
        maps: Tensor,
        theirs: Tensor,
        boxes: Sequence[Tensor],
        sizes: Sequence[Sequence[int]],
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """The terms of one level, in the order of ``weights``."""
        maps = self.adapters[level](maps)
        masks = box_masks(boxes, sizes, *maps.shape[-2:])
        masks = masks[0].to(maps), masks[1].to(maps)
        apart = self.ours[level](maps) - self.theirs[level](theirs)
        relation = apart.square().sum() / len(maps)
        return *focal(maps, theirs, *masks, self.temperature), relation
