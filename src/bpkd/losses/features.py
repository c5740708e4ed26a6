"""What the losses on features share: named maps at one size and precision, labels at theirs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor, nn

from bpkd.errors import UserError
from bpkd.losses.common import full_precision, labelled_pixels
from bpkd.networks.base import resize


def feature_maps(
    student: Any,
    teacher: Any,
    name: str,
    resized: Literal["teacher", "student"] = "teacher",
) -> tuple[Tensor, Tensor]:
    """The feature maps ``name`` of both networks, the teacher's as a target.

    Args:
        student: an output with ``features``.
        teacher: the same.
        name: of the features.
        resized: whose maps go to the size of the other's (bilinear).

    Returns:
        student: (N, D, h, w), float32 or better: squares and norms are no work for half precision.
        teacher: (N, D', h, w), the same, without gradient.

    Raises:
        UserError: one of them has no features of that name.
    """
    for who, output in (("student", student), ("teacher", teacher)):
        if isinstance(output, Tensor):
            raise UserError(
                f"feature: the {who}'s logits are no features, and this loss needs them; give "
                f"SegOutput(logits, {{{name!r}: maps}}) of bpkd"
            )
        if name not in output.features:
            names = ", ".join(sorted(output.features)) or "none"
            raise UserError(f"feature: the {who} has no features named {name!r}; it has: {names}")
    maps = full_precision(student.features[name])
    target = full_precision(teacher.features[name].detach())
    if resized == "student":
        return resize(maps, target.shape[-2:]), target
    return maps, resize(target, maps.shape[-2:])


def each_level(channels: int | Sequence[int], features: Sequence[str]) -> list[int]:
    """Channels of each of several features: one number for all of them, or one each.

    Raises:
        UserError: there are more or fewer than features.

    Example:
        >>> each_level(256, ["p3", "p4"])
        [256, 256]
    """
    counts = [channels] * len(features) if isinstance(channels, int) else list(channels)
    if len(counts) != len(features) or not features:
        raise UserError(
            f"features: expected one or more names, and channels for each; got {list(features)} "
            f"and {counts}"
        )
    return counts


def counted(target: Any, maps: Tensor, ignore_index: int | None) -> Tensor | None:
    """The maps' pixels that count: labelled ones, where ``target`` is labels (N, H, W).

    Another target, such as an image's instances, ignores none: every pixel counts.

    Returns:
        (N, 1, h, w) booleans, or None where every pixel counts.
    """
    if not isinstance(target, Tensor):
        return None
    return labelled_pixels(target, maps, ignore_index)


def channel_adapter(student_channels: int, teacher_channels: int) -> nn.Module:
    """1x1 convolution without bias between different channel counts, else nothing."""
    if student_channels == teacher_channels:
        return nn.Identity()
    return nn.Conv2d(student_channels, teacher_channels, kernel_size=1, bias=False)


def zeroed(maps: Tensor, valid: Tensor | None) -> Tensor:
    """Maps with 0 at the pixels that do not count; ``valid`` as of :func:`counted`."""
    return maps if valid is None else maps * valid


def nearest_labels(labels: Tensor, size: Sequence[int] | torch.Size) -> Tensor:
    """Labels (N, H, W) at ``size`` (h, w): pixel i takes the one at floor(i H / h).

    The top-left of each block, as in the code of IFVD and CIRKD; integers, so no rounding.

    Example:
        >>> nearest_labels(torch.tensor([[[0, 1, 2, 3, 4]]]), (1, 2))
        tensor([[[0, 2]]])
    """
    h, w = size
    rows = torch.arange(h, device=labels.device) * labels.shape[1] // h
    columns = torch.arange(w, device=labels.device) * labels.shape[2] // w
    return labels[:, rows[:, None], columns]


def average_pool(
    maps: Tensor, kernel_size: int, valid: Tensor | None = None
) -> tuple[Tensor, Tensor | None]:
    """Mean of the valid pixels of each block; blocks at the border may be smaller.

    Args:
        maps: (N, D, h, w).
        kernel_size: side of a block in pixels; 1 changes nothing.
        valid: (N, 1, h, w) booleans, or None for all.

    Returns:
        maps: (N, D, ceil(h / kernel_size), ceil(w / kernel_size)), 0 where nothing is valid.
        valid: the blocks that hold a valid pixel, or None.

    Example:
        >>> average_pool(torch.tensor([[[[1.0, 3.0, 5.0]]]]), 2)[0]
        tensor([[[[2., 5.]]]])
    """
    if kernel_size == 1:
        return maps, valid
    if valid is None:
        return F.avg_pool2d(maps, kernel_size, ceil_mode=True), None
    share = F.avg_pool2d(valid.to(maps.dtype), kernel_size, ceil_mode=True)
    pooled = F.avg_pool2d(maps * valid, kernel_size, ceil_mode=True)
    return pooled / share.clamp(min=1e-6), share > 0


def mean_over_processes(values: Tensor) -> Tensor:
    """The mean of a tensor over all processes."""
    if not dist.is_available() or not dist.is_initialized() or dist.get_world_size() == 1:
        return values
    total = values.clone(memory_format=torch.contiguous_format)
    dist.all_reduce(total)
    return total / dist.get_world_size()


def gathered(values: Tensor) -> Tensor:
    """Rows of all processes, in the order of their ranks.

    The gradient of a row, which may come from every process's loss, is summed and goes to the
    process that gave it. Every process has to give the same shape, and to go backward.
    """
    if not dist.is_available() or not dist.is_initialized() or dist.get_world_size() == 1:
        return values
    rows: Tensor = _Gather.apply(values)
    return rows


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        values = values.contiguous()
        parts = [torch.empty_like(values) for _ in range(dist.get_world_size())]
        dist.all_gather(parts, values)
        ctx.own = slice(dist.get_rank() * len(values), (dist.get_rank() + 1) * len(values))
        return torch.cat(parts)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        gradient = gradients[0].clone(memory_format=torch.contiguous_format)
        dist.all_reduce(gradient)
        return gradient[ctx.own]
