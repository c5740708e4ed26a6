"""Walking a data set of instances: how many of which size, and what is wrong with them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torchvision.ops import box_iou

from bpkd.datasets.checking.examining import Counts, Problem, histogram, image_fault
from bpkd.datasets.checking.walked import Walked
from bpkd.datasets.instances import Instances, areas_of, boxes_of, size_names
from bpkd.errors import UserError
from bpkd.support.messages import one_line

SIZES = size_names((32, 96))
#: What makes an instance odd, by the words that a warning calls it.
ODDITIES = {
    "outside": "boxes reach more than a pixel beyond their image, or have no extent",
    "elsewhere": "boxes are not those of their masks (IoU below 0.5; bbox: x, y, width, height)",
    "empty": "masks cover no pixel",
}


@dataclass(frozen=True)
class InstanceFindings:
    """The numbers of one image.

    Attributes:
        name: the image's.
        size: (H, W).
        counts: instances of each class and size s, m, l (C, 3), without crowds.
        crowds: how many.
        odd: how many instances have each of :data:`ODDITIES`.
        colours: how often each of the 256 values occurs in each channel (3, 256), where asked for.
    """

    name: str
    size: tuple[int, int]
    counts: Counts
    crowds: int
    odd: dict[str, int]
    colours: Counts | None = None


@dataclass(frozen=True)
class InstanceExaminer:
    """Reads image i with its instances and looks at it; can be given to other processes.

    Attributes:
        data: of the task "instance", see :mod:`bpkd.datasets`.
        colours: count the images' values as well.
    """

    data: Any
    colours: bool = False

    def __call__(self, index: int) -> InstanceFindings | Problem:
        """The numbers of image ``index``, or what is wrong with it."""
        name = self.data.name(index)
        try:
            image, instances = self.data[index]
            if fault := image_fault(image) or self._fault(image, instances):
                return Problem(name, fault)
            return self._look(name, image, instances)
        except UserError as error:
            return Problem(name, str(error))
        # A data set of the user's own may meet a damaged file with any exception; the walk goes on.
        except Exception as error:
            return Problem(name, f"cannot be read: {type(error).__name__}: {one_line(error)}")

    def _look(self, name: str, image: Tensor, instances: Instances) -> InstanceFindings:
        counted = instances.only(~instances.crowd)
        areas = areas_of(counted)
        size = torch.bucketize(
            areas, torch.tensor([SIZES["m"][0], SIZES["l"][0]], dtype=areas.dtype), right=True
        )
        kinds = counted.labels * len(SIZES) + size
        counts = histogram(kinds, len(self.data.classes) * len(SIZES))
        height, width = image.shape[1:]
        return InstanceFindings(
            name,
            (height, width),
            counts.reshape(-1, len(SIZES)),
            int(instances.crowd.sum()),
            oddities(instances),
            np.stack([histogram(channel, 256) for channel in image]) if self.colours else None,
        )

    def _fault(self, image: Tensor, instances: Any) -> str:
        """How instances break the contract of a data set; empty where they do not."""
        if not isinstance(instances, Instances):
            return f"the target is a {type(instances).__name__}: expected Instances"
        count, masks = len(instances.labels), instances.masks
        if masks.dtype != torch.bool or masks.shape != (count, *image.shape[1:]):
            return (
                f"the masks are {masks.dtype} {tuple(masks.shape)}: expected torch.bool "
                f"{(count, *image.shape[1:])}, as many as labels and of the image's size"
            )
        known = (instances.labels >= 0) & (instances.labels < len(self.data.classes))
        if not known.all():
            wrong = int(instances.labels[~known][0])
            return f"an instance has the class {wrong}: expected 0 to {len(self.data.classes) - 1}"
        return ""


def oddities(instances: Instances) -> dict[str, int]:
    """How many instances have each of :data:`ODDITIES`, where there are any.

    >>> square = Instances.of(torch.ones(1, 4, 4), torch.tensor([0]))
    >>> oddities(square), oddities(square._replace(boxes=torch.tensor([[0.0, 0.0, 4.0, 9.0]])))
    ({}, {'outside': 1, 'elsewhere': 1})
    """
    boxes, tight = instances.boxes, boxes_of(instances.masks)
    height, width = instances.masks.shape[1:]
    most = torch.tensor([width + 1, height + 1])
    outside = (boxes[:, :2] < -1).any(1) | (boxes[:, 2:] > most).any(1)
    outside |= (boxes[:, 2:] <= boxes[:, :2]).any(1)
    empty = ~instances.masks.flatten(1).any(1)
    elsewhere = (box_iou(boxes, tight).diagonal() < 0.5) & ~empty
    found = {"outside": outside, "elsewhere": elsewhere, "empty": empty}
    return {name: int(which.sum()) for name, which in found.items() if which.any()}


@dataclass
class InstanceSummary(Walked):
    """Of instances.

    Attributes:
        counts: instances of each class and size (C, 3), without crowds.
        crowds: how many.
        each: how often an image has so many instances.
        odd: how many instances have each of :data:`ODDITIES`.
        example: the first image with each.
    """

    counts: Counts = field(init=False)
    crowds: int = 0
    each: Counter[int] = field(default_factory=Counter)
    odd: Counter[str] = field(default_factory=Counter)
    example: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.counts = np.zeros((len(self.classes), len(SIZES)), dtype=np.int64)

    def add(self, found: InstanceFindings | Problem) -> None:
        """One image more."""
        if isinstance(found, Problem):
            self.problems.append(found)
            return
        self.add_image(found.size, found.counts.sum(1) > 0, found.colours)
        self.counts += found.counts
        self.crowds += found.crowds
        self.each[int(found.counts.sum())] += 1
        self.odd.update(found.odd)
        self.example = {name: found.name for name in found.odd} | self.example

    @property
    def labelled(self) -> int:
        """Instances of any class, without crowds."""
        return int(self.counts.sum())

    @property
    def ignored_share(self) -> float:
        """Crowds among all that is annotated."""
        return self.crowds / max(1, self.crowds + self.labelled)

    def shares(self) -> list[float]:
        """Each class's share of the instances."""
        return [int(count) / max(1, self.labelled) for count in self.counts.sum(1)]

    def as_json(self) -> dict[str, Any]:
        """All numbers, as JSON can hold them."""
        rows = zip(self.classes, self.counts, self.occurs, strict=True)
        return super().as_json() | {
            "classes": [
                {"name": name, "instances": int(counts.sum()), "images": int(images)}
                | {size: int(count) for size, count in zip(SIZES, counts, strict=True)}
                for name, counts, images in rows
            ],
            "instances": self.labelled,
            "crowds": self.crowds,
            "instances_of_an_image": [
                {"instances": count, "images": images}
                for count, images in sorted(self.each.items())
            ],
            "odd": dict(self.odd),
        }
