"""Outlines of objects: on the grids, where classes meet; on the masks, where each object ends."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from bpkd.boundary import edge_masks
from bpkd.datasets.instances import Instances
from bpkd.networks.solov2.targets import STRIDE, padded_masks

IGNORED = -1  # crowds, in the label maps here


def grid_edges(
    targets: Sequence[Instances],
    size: tuple[int, int],
    num_classes: int,
    grids: Sequence[int],
    kernel_size: int,
) -> list[Tensor]:
    """M (N, C, S, S) of each level: the outlines of each class, pooled to the cells.

    The image's label map is made of the masks, small objects over large ones; where there is no
    object, none of the C classes.

    Args:
        targets: an image each.
        size: (H, W) of the padded input, which the grids cover.
        num_classes: C.
        grids: S of each level.
        kernel_size: the window of the edge detection, odd, in pixels.
    """
    labels = torch.stack([label_map(each, size, num_classes) for each in targets])
    return [
        edge_masks(labels, num_classes + 1, kernel_size, (s, s), IGNORED)[:, :-1] for s in grids
    ]


def label_map(target: Instances, size: tuple[int, int], background: int) -> Tensor:
    """The class of each pixel (H, W); ``background`` where no object is, -1 in crowds.

    Example:
        >>> masks = torch.tensor([[[True, False]], [[True, True]]])  # the second is the larger
        >>> both = Instances(masks, torch.tensor([4, 7]), torch.zeros(2, 4), torch.zeros(2).bool())
        >>> label_map(both, (1, 3), 80).tolist()
        [[4, 7, 80]]
    """
    masks = padded_masks(target.masks, size)
    out = torch.full(size, background, device=masks.device)
    order = masks.flatten(1).sum(1).argsort(descending=True, stable=True).tolist()
    for index in order:
        label = torch.where(target.crowd[index], IGNORED, target.labels[index])
        out = torch.where(masks[index], label, out)
    return out


def object_edges(targets: Sequence[Instances], size: tuple[int, int], kernel_size: int) -> Tensor:
    """M (K, h, w) of every object of the batch: its own outline, at stride 4.

    The frame of the image is no outline, wherever the padded input goes on.

    Args:
        targets: an image each; K objects in all.
        size: (H, W) of the padded input.
        kernel_size: the window of the edge detection, odd, in pixels.
    """
    cells = size[0] // STRIDE, size[1] // STRIDE
    edges = [torch.zeros(0, *cells, device=targets[0].masks.device)] if targets else []
    for target in targets:
        if len(target.masks):
            masks = _repeated(target.masks, size).to(torch.uint8)
            found = edge_masks(masks, 2, kernel_size, cells)[:, 1]
            h, w = target.masks.shape[1:]
            found[:, -(-h // STRIDE) :] = 0
            found[:, :, -(-w // STRIDE) :] = 0
            edges.append(found)
    return torch.cat(edges)


def _repeated(masks: Tensor, size: tuple[int, int]) -> Tensor:
    """Masks at a size that is at least theirs; the last row and column go on."""
    h, w = masks.shape[1:]
    rows = torch.arange(size[0], device=masks.device).clamp(max=h - 1)
    columns = torch.arange(size[1], device=masks.device).clamp(max=w - 1)
    return masks[:, rows[:, None], columns]
