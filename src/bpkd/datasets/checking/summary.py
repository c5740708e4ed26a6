"""What a walk over a split adds up to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from bpkd.datasets.checking.examining import Counts, Examiner, Findings, Problem
from bpkd.datasets.checking.instances import InstanceExaminer, InstanceSummary
from bpkd.datasets.checking.walked import Walked
from bpkd.datasets.parallel import Progress, each


@dataclass
class Summary(Walked):
    """Of label maps.

    Attributes:
        pixels: pixels of each class (C,).
        ignored: pixels that belong to no class.
        boundary: pixels of a class with another label in the 3x3 window round them.
        brightest: greatest value of any image.
        turned: images that EXIF turns, whose labels may not be.
    """

    pixels: Counts = field(init=False)
    ignored: int = 0
    boundary: int = 0
    brightest: int = 0
    turned: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        self.pixels = np.zeros(len(self.classes), dtype=np.int64)

    def add(self, found: Findings | Problem) -> None:
        """One pair more."""
        if isinstance(found, Problem):
            self.problems.append(found)
            return
        self.add_image(found.size, found.pixels > 0, found.colours)
        self.pixels += found.pixels
        self.ignored += found.ignored
        self.boundary += found.boundary
        self.brightest = max(self.brightest, found.brightest)
        self.turned += found.turned

    @property
    def labelled(self) -> int:
        """Pixels of any class."""
        return int(self.pixels.sum())

    @property
    def ignored_share(self) -> float:
        """Of all pixels."""
        return share(self.ignored, self.ignored + self.labelled)

    def shares(self) -> list[float]:
        """Each class's share of the labelled pixels."""
        return [share(int(count), self.labelled) for count in self.pixels]

    def as_json(self) -> dict[str, Any]:
        """All numbers, as JSON can hold them."""
        occurrence = zip(self.classes, self.pixels, self.shares(), self.occurs, strict=True)
        return super().as_json() | {
            "classes": [
                {"name": name, "pixels": int(pixels), "share": part, "images": int(images)}
                for name, pixels, part, images in occurrence
            ],
            "labelled_pixels": self.labelled,
            "ignored_pixels": self.ignored,
            "ignored_share": self.ignored_share,
            "boundary_pixels": self.boundary,
            "boundary_share": share(self.boundary, self.labelled),
        }


def check(
    data: Any,
    split: str,
    *,
    known: Sequence[Problem] = (),
    workers: int | None = 0,
    colours: bool = False,
    progress: Progress = iter,
) -> Summary | InstanceSummary:
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
    indices, names = range(len(data)), list(data.classes)
    if getattr(data, "task", "semantic") == "instance":
        counted = InstanceSummary(split, names, problems=list(known))
        examine = InstanceExaminer(data, colours)
        for found in each(examine, indices, workers=workers, progress=progress):
            counted.add(found)
        return counted
    summary = Summary(split, names, problems=list(known))
    for pair in each(Examiner(data, colours), indices, workers=workers, progress=progress):
        summary.add(pair)
    return summary


def share(part: int, whole: int) -> float:
    """A part of a whole; 0 where there is nothing.

    >>> share(1, 4), share(0, 0)
    (0.25, 0.0)
    """
    return part / whole if whole else 0.0
