"""What several losses need: the teacher at the student's size, and where labels count."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from bpkd.errors import UserError
from bpkd.networks.base import SegOutput, resize

#: What a loss on logits takes: a network's output, or its logits (N, C, h, w) alone.
Output = SegOutput | Tensor


def as_output(given: Output) -> SegOutput:
    """A network's output as the losses read it.

    Args:
        given: a SegOutput; logits (N, C, h, w); or anything that has ``logits``, such as the output
            of a model of transformers.

    Example:
        >>> import torch
        >>> as_output(torch.zeros(1, 2, 3, 3)).features
        {}
    """
    if isinstance(given, Tensor):
        return SegOutput(given, {})
    if not hasattr(given, "auxiliary"):
        return SegOutput(given.logits, getattr(given, "features", {}))
    return given


def logit_maps(student: Output, teacher: Output) -> tuple[Tensor, Tensor]:
    """The logits of both networks, the teacher's as a target.

    Returns:
        student: (N, C, h, w), float32 or better.
        teacher: the same shape, without gradient: see :func:`like_student`.
    """
    logits = full_precision(as_output(student).logits)
    return logits, like_student(full_precision(as_output(teacher).logits), logits)


def full_precision(maps: Tensor) -> Tensor:
    """Half-precision maps as float32; others as they are.

    In bfloat16 a sum over the pixels of a softmax may be off by a tenth.
    """
    return maps.float() if maps.dtype in (torch.float16, torch.bfloat16) else maps


def like_student(teacher: Tensor, student: Tensor) -> Tensor:
    """The teacher's logits, without gradient, resized to the student's (bilinear).

    Args:
        teacher: (N, C, h', w').
        student: (N, C, h, w).

    Raises:
        UserError: the two have different numbers of classes.
    """
    if teacher.shape[1] != student.shape[1]:
        raise UserError(
            f"the teacher has {teacher.shape[1]} classes and the student {student.shape[1]}; "
            "both need the same classes in the same order"
        )
    return resize(teacher.detach(), student.shape[-2:])


def labelled_pixels(labels: Tensor, logits: Tensor, ignore_index: int | None) -> Tensor | None:
    """Where the logits' pixels hold at least one label that is not ignored.

    Args:
        labels: (N, H, W) integers.
        logits: (N, C, h, w).
        ignore_index: the label of pixels without a class; None: every pixel counts.

    Returns:
        (N, 1, h, w) booleans, or None where every pixel counts.

    Example:
        >>> import torch
        >>> labels = torch.tensor([[[0, 255, 255, 255]]])
        >>> labelled_pixels(labels, torch.zeros(1, 3, 1, 2), 255)
        tensor([[[[ True, False]]]])
    """
    if ignore_index is None:
        return None
    labelled = (labels != ignore_index).unsqueeze(1).float()
    return F.adaptive_max_pool2d(labelled, logits.shape[-2:]) > 0
