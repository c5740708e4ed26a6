"""What a walk over a split adds up to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any

import numpy as np

from bpkd.datasets.checking.examining import Counts, Examiner, Findings, Problem
from bpkd.datasets.parallel import Progress, each


@dataclass
class Summary:
    """The numbers of a split, and its broken pairs, which count in none of the numbers.

    Attributes:
        split: the data set's name of it.
        classes: names.
        pixels: pixels of each class (C,).
        occurs: images in which each class occurs (C,).
        ignored: pixels that belong to no class.
        boundary: pixels of a class with another label in the 3x3 window round them.
        sizes: how often each (H, W) occurs.
        colours: how often each of the 256 values occurs in each channel (3, 256), or None.
        problems: what is wrong, a pair each.
        brightest: greatest value of any image.
        turned: images that EXIF turns, whose labels may not be.
    """

    split: str
    classes: list[str]
    pixels: Counts = field(init=False)
    occurs: Counts = field(init=False)
    ignored: int = 0
    boundary: int = 0
    sizes: Counter[tuple[int, int]] = field(default_factory=Counter)
    colours: Counts | None = None
    problems: list[Problem] = field(default_factory=list)
    brightest: int = 0
    turned: int = 0

    def __post_init__(self) -> None:
        self.pixels = np.zeros(len(self.classes), dtype=np.int64)
        self.occurs = np.zeros(len(self.classes), dtype=np.int64)

    def add(self, found: Findings | Problem) -> None:
        """One pair more."""
        if isinstance(found, Problem):
            self.problems.append(found)
            return
        self.pixels += found.pixels
        self.occurs += found.pixels > 0
        self.ignored += found.ignored
        self.boundary += found.boundary
        self.sizes[found.size] += 1
        self.brightest = max(self.brightest, found.brightest)
        self.turned += found.turned
        if found.colours is not None:
            self.colours = found.colours if self.colours is None else self.colours + found.colours

    @property
    def images(self) -> int:
        """Pairs in good order."""
        return self.sizes.total()

    @property
    def labelled(self) -> int:
        """Pixels of any class."""
        return int(self.pixels.sum())

    def absent(self) -> list[str]:
        """Classes that no image shows."""
        return [name for name, count in zip(self.classes, self.occurs, strict=True) if not count]

    @property
    def ignored_share(self) -> float:
        """Of all pixels."""
        return share(self.ignored, self.ignored + self.labelled)

    def shares(self) -> list[float]:
        """Each class's share of the labelled pixels."""
        return [share(int(count), self.labelled) for count in self.pixels]

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
        """All numbers, as JSON can hold them."""
        occurrence = zip(self.classes, self.pixels, self.shares(), self.occurs, strict=True)
        return {
            "split": self.split,
            "images": self.images,
            "classes": [
                {"name": name, "pixels": int(pixels), "share": part, "images": int(images)}
                for name, pixels, part, images in occurrence
            ],
            "labelled_pixels": self.labelled,
            "ignored_pixels": self.ignored,
            "ignored_share": self.ignored_share,
            "boundary_pixels": self.boundary,
            "boundary_share": share(self.boundary, self.labelled),
            "sizes": [
                {"height": height, "width": width, "images": count}
                for (height, width), count in sorted(self.sizes.items())
            ],
            "mean_and_deviation": self.mean_and_deviation(),
            "problems": [{"name": each.name, "message": each.message} for each in self.problems],
        }


def check(
    data: Any,
    split: str,
    *,
    known: Sequence[Problem] = (),
    workers: int | None = 0,
    colours: bool = False,
    progress: Progress = iter,
) -> Summary:
    """Read every pair of a data set once.

    Args:
        data: by the contract of :mod:`bpkd.datasets`; pickled to the workers where the system
            starts processes anew.
        split: its name, for the report.
        known: what is wrong with samples that the data set leaves out.
        workers: processes that read, see :func:`~bpkd.datasets.parallel.each`.
        colours: also mean and standard deviation of the images.
        progress: wraps what is gone through.

    >>> from bpkd.datasets.scenes import Scenes
    >>> summary = check(Scenes("val", size=(32, 32), count=2), "val")
    >>> summary.images, summary.extent()["max"], summary.labelled + summary.ignored
    (2, (32, 32), 2048)
    """
    summary = Summary(split, list(data.classes), problems=list(known))
    indices = range(len(data))
    for found in each(Examiner(data, colours), indices, workers=workers, progress=progress):
        summary.add(found)
    return summary


def share(part: int, whole: int) -> float:
    """A part of a whole; 0 where there is nothing.

    >>> share(1, 4), share(0, 0)
    (0.25, 0.0)
    """
    return part / whole if whole else 0.0
