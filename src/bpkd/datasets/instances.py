"""The instances of an image: what an instance data set yields and what a network predicts."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F


class Instances(NamedTuple):
    """K instances of one image (H, W).

    Attributes:
        masks: (K, H, W) bool.
        labels: (K,) int64, the class of each.
        boxes: (K, 4) float32, x1, y1, x2, y2 in pixels; x2 and y2 are the far edges, so a box of
            one pixel is 1 wide. Those of an annotation file may differ from the masks' by parts of
            a pixel.
        crowd: (K,) bool, a region of several objects: nothing is learnt from it, and what is
            predicted in it counts neither for nor against.
        scores: (K,) float32 of predictions; None for what is true.
        areas: (K,) float64 in pixels, what an annotation file says; None: those of the masks.

    >>> mask = torch.tensor([[[0, 1, 1], [0, 1, 0]]]).bool()
    >>> Instances.of(mask, torch.tensor([7])).boxes.tolist()
    [[1.0, 0.0, 3.0, 2.0]]
    """

    masks: Tensor
    labels: Tensor
    boxes: Tensor
    crowd: Tensor
    scores: Tensor | None = None
    areas: Tensor | None = None

    @classmethod
    def of(cls, masks: Tensor, labels: Tensor, scores: Tensor | None = None) -> Instances:
        """Instances that are known by their masks (K, H, W) and labels (K,) alone."""
        crowd = torch.zeros(len(masks), dtype=torch.bool, device=masks.device)
        return cls(masks.bool(), labels.long(), boxes_of(masks), crowd, scores)

    @classmethod
    def none(cls, height: int, width: int) -> Instances:
        """An image of this size without any instance.

        >>> Instances.none(4, 6).masks.shape
        torch.Size([0, 4, 6])
        """
        return cls.of(torch.zeros(0, height, width, dtype=torch.bool), torch.zeros(0))

    def only(self, chosen: Tensor) -> Instances:
        """Those that a mask (K,) keeps, or, in their order, those that indices name.

        >>> two = Instances.of(torch.ones(2, 1, 1), torch.tensor([3, 5]))
        >>> two.only(two.labels == 5).labels.tolist()
        [5]
        >>> two.only(torch.tensor([1, 0])).labels.tolist()
        [5, 3]
        """
        kept = {name: value[chosen] for name, value in self._asdict().items() if value is not None}
        return Instances(**kept)

    def padded(self, height: int, width: int) -> Instances:
        """The same in an image that goes on to the bottom and the right.

        >>> Instances.of(torch.ones(1, 1, 1), torch.tensor([0])).padded(2, 2).masks.int().tolist()
        [[[1, 0], [0, 0]]]
        """
        rows, columns = height - self.masks.shape[1], width - self.masks.shape[2]
        return self._replace(masks=F.pad(self.masks, (0, columns, 0, rows)))


def boxes_of(masks: Tensor) -> Tensor:
    """The tightest boxes (K, 4) round masks (K, H, W), float32; all 0 round an empty mask.

    >>> boxes_of(torch.zeros(1, 2, 2)).tolist()
    [[0.0, 0.0, 0.0, 0.0]]
    """
    columns, rows = masks.bool().any(1), masks.bool().any(2)
    sides = [_extent(columns), _extent(rows)]
    return torch.stack([sides[0][0], sides[1][0], sides[0][1], sides[1][1]], 1).float()


def _extent(used: Tensor) -> tuple[Tensor, Tensor]:
    """First index that is set, (K,), and one after the last, of lines (K, L)."""
    index = torch.arange(used.shape[1], device=used.device).expand_as(used)
    last = torch.where(used, index + 1, 0)
    if not last.numel():
        return last.sum(1), last.sum(1)
    first = torch.where(used, index, used.shape[1]).amin(1)
    return torch.where(used.any(1), first, 0), last.amax(1)


def size_names(limits: tuple[float, float]) -> dict[str, tuple[float, float]]:
    """COCO's three sizes: s, m and l, each with its least and greatest area in square pixels.

    Args:
        limits: sides of the squares at which medium and large begin; COCO's are 32 and 96.

    >>> size_names((32, 96))["m"]
    (1024, 9216)
    """
    small, large = limits
    return {"s": (0, small**2), "m": (small**2, large**2), "l": (large**2, 1e10)}


def areas_of(instances: Instances) -> Tensor:
    """(K,) float64: the areas that the annotations give, else those of the masks."""
    if instances.areas is not None:
        return instances.areas
    return instances.masks.flatten(1).sum(1).double()
