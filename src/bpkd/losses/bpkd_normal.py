"""BPKD: where along the outline's normal a class begins, as the teacher has it.

An own design, not published, after Liu et al., BPKD, WACV 2024.
"""

from __future__ import annotations

from typing import ClassVar, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from bpkd.boundary import edge_masks
from bpkd.errors import UserError
from bpkd.losses.bases import LogitLoss
from bpkd.losses.common import Output


class Lines(NamedTuple):
    """Short lines across the outlines, each through one pixel of one class's map.

    Attributes:
        places: (P, L) places in the flattened logits (N, C, h, w).
        inside: (P, L) bool: the place is in the image and has a label.
        weights: (P,) the edge mask at the middle.
    """

    places: Tensor
    inside: Tensor
    weights: Tensor


def lines_across(labels: Tensor, masks: Tensor, reach: int, valid: Tensor | None) -> Lines:
    """Lines of 2 ``reach`` + 1 pixels along the normal of each class's outline.

    The normal is the gradient of the share of the class in each pixel of the logits (Sobel's);
    places on the line are rounded to pixels. Where the gradient is 0, as in the middle of a stripe
    of one pixel, there is no line; the pixels beside it have theirs.

    Args:
        labels: (N, H, W) integers.
        masks: M (N, C, h, w), as :func:`bpkd.boundary.edge_masks` gives them.
        reach: pixels of the logits to each side.
        valid: (N, 1, h, w) booleans, the pixels that count; None for all.

    Example:
        >>> labels = torch.tensor([[[0, 0, 1, 1]]])
        >>> lines = lines_across(labels, edge_masks(labels, 2, 3, (1, 4)), reach=1, valid=None)
        >>> lines.places.tolist()  # class 0: leftwards, for there it is; class 1: rightwards
        [[2, 1, 0], [3, 2, 1], [4, 5, 6], [5, 6, 7]]
    """
    classes, height, width = masks.shape[1:]
    steps = torch.arange(-reach, reach + 1, device=labels.device)
    index, inside, weights = [], [], []
    for number in range(classes):
        down, right = _gradient(labels == number, (height, width))
        length = torch.hypot(down, right)
        image, y, x = ((masks[:, number] > 0) & (length > 1e-6)).nonzero(as_tuple=True)
        at = (image, y, x)
        rows = y[:, None] + (steps * (down[at] / length[at])[:, None]).round().long()
        columns = x[:, None] + (steps * (right[at] / length[at])[:, None]).round().long()
        counts = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
        rows, columns = rows.clamp(0, height - 1), columns.clamp(0, width - 1)
        if valid is not None:
            counts = counts & valid[:, 0][image[:, None], rows, columns]
        index.append(((image[:, None] * classes + number) * height + rows) * width + columns)
        inside.append(counts)
        weights.append(masks[:, number][at])
    return Lines(torch.cat(index), torch.cat(inside), torch.cat(weights))


def _gradient(where: Tensor, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """How the share of a class in each pixel of (h, w) grows downwards and to the right."""
    share = F.adaptive_avg_pool2d(where.unsqueeze(1).float(), size)
    kernel = share.new_tensor([[-1.0, -2.0, -1.0], [0.0, 0.0, 0.0], [1.0, 2.0, 1.0]])
    kernels = torch.stack([kernel, kernel.T]).unsqueeze(1)
    found = F.conv2d(F.pad(share, [1, 1, 1, 1], mode="replicate"), kernels)
    return found[:, 0], found[:, 1]


def normal_kl(student: Tensor, teacher: Tensor, lines: Lines, temperature: float = 1.0) -> Tensor:
    """T² Σ_p M_p KL(softmax_j(z^t_p / T) ‖ softmax_j(z^s_p / T)) / Σ_p M_p, j along the line p.

    CWD's softmax over places, of a line of a few pixels in place of the whole image: it compares
    where across the outline a class's logit rises, not how high it is.

    Args:
        student: logits (N, C, h, w).
        teacher: logits of the same shape; no gradient flows to them.
        lines: as :func:`lines_across` gives them.
        temperature: T > 0.

    Returns:
        A scalar >= 0; exactly 0, with a gradient, where there is no line.

    Example:
        One line of two pixels: the teacher says (3/4, 1/4), the student (1/2, 1/2).

        >>> index, inside = torch.tensor([[0, 1]]), torch.tensor([[True, True]])
        >>> teacher = torch.tensor([0.75, 0.25]).log().view(1, 1, 1, 2)
        >>> lines = Lines(index, inside, torch.ones(1))
        >>> round(normal_kl(torch.zeros(1, 1, 1, 2), teacher, lines).item(), 4)
        0.1308
    """
    ours, theirs = (
        (z.flatten()[lines.places] / temperature)
        .masked_fill(~lines.inside, -torch.inf)
        .log_softmax(dim=1)
        for z in (student, teacher.detach())
    )
    gap = (theirs - ours).masked_fill(~lines.inside, 0.0)
    weights = lines.weights.to(gap.dtype)
    divergence = (theirs.exp() * gap).sum(dim=1)
    return temperature**2 * (weights * divergence).sum() / weights.sum().clamp(min=1e-12)


class BPKDNormal(LogitLoss):
    """:func:`normal_kl` across the outlines of the labels: the term ``normal``.

    Args:
        kernel_size: the window of the edge detection, odd, in label pixels.
        reach: pixels of the logits to each side of the outline.
        temperature: T > 0.
        ignore_index: label of pixels that are left out.
    """

    weights: ClassVar[dict[str, float]] = {"normal": 1.0}
    ignore_index: int

    def __init__(
        self,
        kernel_size: int = 7,
        reach: int = 3,
        temperature: float = 1.0,
        ignore_index: int = 255,
    ) -> None:
        super().__init__(temperature, ignore_index)
        if kernel_size < 1 or kernel_size % 2 == 0:
            raise UserError(f"BPKDNormal: kernel_size is an odd number, got {kernel_size}")
        if reach < 1 or temperature <= 0:
            raise UserError(
                f"BPKDNormal: reach is at least 1 and temperature above 0, got {reach} and "
                f"{temperature}"
            )
        self.kernel_size, self.reach = kernel_size, reach

    def forward(self, student: Output, teacher: Output, labels: Tensor) -> dict[str, Tensor]:
        """Outputs of both networks and labels (N, H, W) -> the term ``normal``."""
        logits, target, valid = self.maps(student, teacher, labels)
        size = (logits.shape[-2], logits.shape[-1])
        masks = edge_masks(labels, logits.shape[1], self.kernel_size, size, self.ignore_index)
        lines = lines_across(labels, masks, self.reach, valid)
        return {"normal": normal_kl(logits, target, lines, self.temperature)}
