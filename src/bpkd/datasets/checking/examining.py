"""One pair of image and labels: what is in it, or what is wrong with it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from bpkd.boundary import trimap_bands
from bpkd.datasets.faults import UnknownValues
from bpkd.datasets.labelled import Labelled
from bpkd.errors import UserError
from bpkd.support.messages import one_line

Counts: TypeAlias = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Problem:
    """What is wrong with one pair.

    Attributes:
        name: the image's, as the data set calls it.
        message: one line, with the files' paths where the data set knows them.
        values: label values that are no class, where that is what is wrong.
        zero: whether there is the label value 0, too.
    """

    name: str
    message: str
    values: tuple[int, ...] = ()
    zero: bool = False


@dataclass(frozen=True)
class Findings:
    """The numbers of one pair.

    Attributes:
        size: (H, W).
        pixels: pixels of each class (C,).
        ignored: pixels that belong to no class.
        boundary: pixels of a class that have another label in the 3x3 window round them.
        colours: how often each of the 256 values occurs in each channel (3, 256), where asked for.
        brightest: greatest value of any channel.
        turned: whether EXIF turns the image, and its labels may not be.
    """

    size: tuple[int, int]
    pixels: Counts
    ignored: int
    boundary: int
    colours: Counts | None = None
    brightest: int = 255
    turned: bool = False


@dataclass(frozen=True)
class Examiner:
    """Reads pair i of a data set and looks at it; a function that other processes can be given.

    Attributes:
        data: by the contract of :mod:`bpkd.datasets`.
        colours: count the images' values as well.
        outlines: look for boundary pixels.

    >>> class One:
    ...     classes, ignore_index = ["road", "car"], 255
    ...     def __getitem__(self, index):
    ...         labels = torch.tensor([[0, 0, 0, 1], [0, 0, 0, 255]], dtype=torch.uint8)
    ...         return torch.zeros(3, 2, 4, dtype=torch.uint8), labels
    >>> found = Examiner(One())(0)
    >>> found.size, found.pixels.tolist(), found.ignored, found.boundary
    ((2, 4), [6, 1], 1, 3)
    """

    data: Any
    colours: bool = False
    outlines: bool = True

    def __call__(self, index: int) -> Findings | Problem:
        """The numbers of pair ``index``, or what is wrong with it."""
        try:
            image, labels = self.data[index]
            if fault := _fault(image, labels):
                return Problem(self.data.name(index), fault)
            self._refuse_unknown(labels)
            turned = isinstance(self.data, Labelled) and self.data.turned(index)
            return replace(self._look(image, labels), turned=turned)
        except UnknownValues as error:
            return Problem(self.data.name(index), str(error), error.values, error.zero)
        except UserError as error:
            return Problem(self.data.name(index), str(error))
        # A data set of the user's own may meet a damaged file with any exception; the walk goes on.
        except Exception as error:
            what = f"{type(error).__name__}: {one_line(error)}"
            return Problem(self.data.name(index), f"cannot be read: {what}")

    def _look(self, image: Tensor, labels: Tensor) -> Findings:
        known = labels != self.data.ignore_index
        band = trimap_bands(labels[None], 1)[0] if self.outlines else torch.zeros_like(known)
        height, width = labels.shape
        return Findings(
            (height, width),
            histogram(labels[known], len(self.data.classes)),
            int((~known).sum()),
            int((band & known).sum()),
            np.stack([histogram(channel, 256) for channel in image]) if self.colours else None,
            int(image.max()),
        )

    def _refuse_unknown(self, labels: Tensor) -> None:
        """What ``Folder`` reports by itself, said of a data set that lets anything through."""
        count, ignored = len(self.data.classes), self.data.ignore_index
        wrong = labels[((labels < 0) | (labels >= count)) & (labels != ignored)]
        if not wrong.numel():
            return
        values = sorted(set(wrong.tolist()))
        listed = ", ".join(map(str, values[:5])) + (", ..." if len(values) > 5 else "")
        raise UnknownValues(
            f"unknown label values {listed} ({wrong.numel()} pixels): expected 0 to {count - 1} "
            f"or ignore_index {ignored}",
            values,
            bool((labels == 0).any()),
        )


def image_fault(image: Tensor) -> str:
    """How an image breaks the contract of a data set; empty where it does not."""
    if image.ndim != 3 or image.shape[0] != 3 or image.dtype != torch.uint8:
        return f"the image is {image.dtype} {tuple(image.shape)}: expected torch.uint8 (3, H, W)"
    return ""


def _fault(image: Tensor, labels: Tensor) -> str:
    """How a pair breaks the contract of a data set; empty where it does not."""
    if fault := image_fault(image):
        return fault
    if labels.ndim != 2 or labels.is_floating_point() or labels.dtype == torch.bool:
        return f"the labels are {labels.dtype} {tuple(labels.shape)}: expected integers (H, W)"
    if image.shape[1:] != labels.shape:
        sizes = [f"{width}x{height}" for height, width in (image.shape[1:], labels.shape)]
        return f"the image is {sizes[0]} and its labels are {sizes[1]} (width x height)"
    return "" if labels.numel() else "the image is empty"


def histogram(values: Tensor, count: int) -> Counts:
    """How often each whole number below ``count`` occurs, (count,)."""
    counts: Counts = torch.bincount(values.flatten(), minlength=count).numpy()
    return counts
