"""SOLOv2's own loss: dice for the masks of an object's cells, focal loss for the cells' classes.

Wang et al., SOLOv2, NeurIPS 2020; Lin et al., Focal Loss for Dense Object Detection, ICCV 2017;
Milletari et al., V-Net, 3DV 2016 (dice with squares).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from bpkd.networks.base import InstanceOutput, mask_logits
from bpkd.networks.solov2.targets import Assignment

MASK_WEIGHT = 3.0
_EPS = torch.finfo(torch.float32).eps


def dice(logits: Tensor, masks: Tensor) -> Tensor:
    """1 - 2 Σ p t / (Σ p² + Σ t² + 0.002), with p = sigmoid(logits), one a row.

    Args:
        logits: (R, h, w).
        masks: (R, h, w), booleans or numbers in [0, 1].

    Returns:
        (R,), from 0 to 1.

    Example:
        >>> logits = torch.tensor([[[0.0, 0.0]]])  # p = 0.5: 1 - 2 * 0.5 / (0.5 + 1 + 0.002)
        >>> round(dice(logits, torch.tensor([[[True, False]]])).item(), 4)
        0.3342
    """
    p, t = logits.sigmoid().flatten(1), masks.to(logits.dtype).flatten(1)
    total = (p.square().sum(1) + 0.001) + (t.square().sum(1) + 0.001)
    return 1 - 2 * (p * t).sum(1) / total


def focal(logits: Tensor, labels: Tensor, alpha: float = 0.25, gamma: float = 2.0) -> Tensor:
    """Σ -a (1 - q)^gamma log q, with q the probability given to what is so, over cells and classes.

    Args:
        logits: (M, C), of independent sigmoids.
        labels: (M,), a class, or C where there is none.
        alpha: a of a class that is there; 1 - alpha of one that is not.
        gamma: how little what is already certain counts.

    Returns:
        A scalar.

    Example:
        >>> value = focal(torch.zeros(1, 2), torch.tensor([1]))  # (0.25 + 0.75) * 0.25 * log 2
        >>> round(value.item(), 4)
        0.1733
    """
    target = F.one_hot(labels, logits.shape[1] + 1)[:, :-1].to(logits.dtype)
    p = logits.sigmoid()
    missed = (1 - p) * target + p * (1 - target)
    weight = (alpha * target + (1 - alpha) * (1 - target)) * missed.pow(gamma)
    return (weight * F.binary_cross_entropy_with_logits(logits, target, reduction="none")).sum()


def solov2_loss(output: InstanceOutput, assignments: Sequence[Assignment]) -> dict[str, Tensor]:
    """The student's own terms: ``mask`` (times 3, as published) and ``category``.

    The masks' dice is summed over all rows, a cell that two objects claim counting twice, and
    divided by the number of different cells that are some object's; the focal sum by that number
    and one. Both are of the batch of this process. Where nothing is positive ``mask`` is 0, with a
    gradient of 0.

    Args:
        output: of the network.
        assignments: an image each, see :func:`bpkd.networks.solov2.targets.assign_batch`.

    Example:
        >>> from bpkd.networks.solov2.targets import Level
        >>> output = InstanceOutput([torch.zeros(1, 1, 1, 1)], [torch.zeros(1, 2, 1, 1)],
        ...     torch.ones(1, 2, 1, 2), {})
        >>> level = Level(torch.tensor([0]), torch.tensor([0]), torch.tensor([[0]]))
        >>> terms = solov2_loss(output, [Assignment([level], torch.tensor([[[True, False]]]))])
        >>> round(terms["mask"].item(), 4)  # 3 * 0.3342
        1.0027
        >>> round(terms["category"].item(), 4)  # 0.25 * 0.25 * log 2 / (1 + 1)
        0.0217
    """
    # Half precision is for networks: its sums overflow, and 0 times infinity is no number.
    features = _full(output.mask_features)
    every = zip(map(_full, output.category), map(_full, output.kernels), strict=True)
    # Attached to everything, so that a batch without objects has a gradient for all parameters.
    mask = 0 * (features.sum() + torch.stack([_full(each).sum() for each in output.kernels]).sum())
    category, positive = features.new_zeros(()), 0
    for index, (logits, kernels) in enumerate(every):
        classes = logits.shape[1]
        labels = torch.stack([each.levels[index].labels for each in assignments])
        positive += int((labels < classes).sum())
        flat = logits.permute(0, 2, 3, 1).reshape(-1, classes)
        category = category + focal(flat, labels.flatten())
        for image, each in enumerate(assignments):
            level = each.levels[index]
            if len(level.cells):
                chosen = kernels[image].flatten(1)[:, level.cells].T
                found = mask_logits(chosen, features[image])
                mask = mask + dice(found, each.masks[level.instances]).sum()
    return {
        "mask": MASK_WEIGHT * mask / max(positive, 1),
        "category": category / (positive + 1 + _EPS),
    }


def _full(maps: Tensor) -> Tensor:
    return maps.float() if maps.dtype in (torch.float16, torch.bfloat16) else maps
