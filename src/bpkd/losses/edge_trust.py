"""Where on the outlines the teacher is followed: everywhere, or only where it knows better."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

#: ``all`` pixels; those that the teacher classes right; those whose label it holds more likely
#: than the student does.
Where = Literal["all", "teacher_right", "teacher_better"]


def trusted_share(
    student: Tensor, teacher: Tensor, labels: Tensor, where: Where, ignore_index: int = 255
) -> Tensor:
    """Share of the label pixels below each pixel of the logits at which the teacher is followed.

    A label pixel is compared with the pixel of the logits that it lies in (of several, where the
    sizes do not divide, the first). Ignored ones count as not trusted.

    Args:
        student: logits (N, C, h, w); no gradient flows.
        teacher: logits of the same shape; no gradient flows.
        labels: (N, H, W) integers.
        where: ``teacher_right``: the teacher's class is the label; ``teacher_better``: the
            teacher's probability of the label is above the student's.
        ignore_index: label of pixels without a class.

    Returns:
        (N, 1, h, w) in [0, 1], as the logits' dtype.

    Example:
        The teacher says class 1 twice; of the label pixels below, the last two are of class 1.

        >>> teacher = torch.tensor([[[[0.0, 0.0]], [[2.0, 2.0]]]])
        >>> student = torch.tensor([[[[0.0, 0.0]], [[1.0, 3.0]]]])
        >>> labels = torch.tensor([[[0, 0, 1, 1]]])
        >>> trusted_share(student, teacher, labels, "teacher_right").tolist()
        [[[[0.0, 1.0]]]]
        >>> trusted_share(student, teacher, labels, "teacher_better").tolist()  # student: 3 > 2
        [[[[0.0, 0.0]]]]
    """
    student, teacher = student.detach(), teacher.detach()
    classes, height, width = student.shape[1:]
    rows, columns = (
        torch.arange(long, device=labels.device) * short // long
        for long, short in zip(labels.shape[-2:], (height, width), strict=True)
    )
    cells = (rows[:, None] * width + columns).flatten()  # of each label pixel
    flat = labels.flatten(1).long()
    counted = flat != ignore_index
    if where == "teacher_right":
        right = teacher.argmax(dim=1).flatten(1)[:, cells] == flat
    else:
        index = flat.clamp(0, classes - 1) * (height * width) + cells
        ours, theirs = (
            z.log_softmax(dim=1).flatten(1).gather(1, index) for z in (student, teacher)
        )
        right = theirs > ours
    share = (right & counted).view_as(labels).unsqueeze(1).to(student.dtype)
    return F.adaptive_avg_pool2d(share, (height, width))
