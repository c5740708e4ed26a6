"""What a walk over any split adds up to, whatever its targets are."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from statistics import median
from typing import Any

import numpy as np

from bpkd.datasets.checking.examining import Counts, Problem


@dataclass
class Walked:
    """The numbers of a split, and its broken pairs, which count in none of the numbers.

    Attributes:
        split: the data set's name of it.
        classes: names.
        occurs: images in which each class occurs (C,).
        sizes: how often each (H, W) occurs.
        colours: how often each of the 256 values occurs in each channel (3, 256), or None.
        problems: what is wrong, a pair each.
    """

    split: str
    classes: list[str]
    occurs: Counts = field(init=False)
    sizes: Counter[tuple[int, int]] = field(default_factory=Counter)
    colours: Counts | None = None
    problems: list[Problem] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.occurs = np.zeros(len(self.classes), dtype=np.int64)

    def add_image(self, size: tuple[int, int], occurs: Any, colours: Counts | None) -> None:
        """One image more: its size, which classes occur in it (C,), and its colours."""
        self.sizes[size] += 1
        self.occurs += occurs
        if colours is not None:
            self.colours = colours if self.colours is None else self.colours + colours

    @property
    def images(self) -> int:
        """Pairs in good order."""
        return self.sizes.total()

    def absent(self) -> list[str]:
        """Classes that no image shows."""
        return [name for name, count in zip(self.classes, self.occurs, strict=True) if not count]

    def extent(self) -> dict[str, tuple[int, int]]:
        """Smallest, median and greatest (height, width), each side by itself."""
        sides = [sorted(size[side] for size in self.sizes.elements()) for side in (0, 1)]
        if not sides[0]:
            return {}
        return {
            name: (int(pick(sides[0])), int(pick(sides[1])))
            for name, pick in (("min", min), ("median", median), ("max", max))
        }

    def mean_and_deviation(self) -> list[tuple[float, float]]:
        """Of the values of red, green and blue over all pixels, from 0 to 255."""
        if self.colours is None:
            return []
        values = np.arange(256)
        means = (self.colours @ values) / self.colours.sum(1)
        squares = (self.colours @ values**2) / self.colours.sum(1)
        deviations = np.sqrt(np.maximum(0, squares - means**2))
        return list(zip(means.tolist(), deviations.tolist(), strict=True))

    def as_json(self) -> dict[str, Any]:
        """These numbers, as JSON can hold them."""
        return {
            "split": self.split,
            "images": self.images,
            "sizes": [
                {"height": height, "width": width, "images": count}
                for (height, width), count in sorted(self.sizes.items())
            ],
            "mean_and_deviation": self.mean_and_deviation(),
            "problems": [{"name": each.name, "message": each.message} for each in self.problems],
        }
