"""Images without labels: a data set of their own, or drawn beside one that has labels."""

from __future__ import annotations

import glob
from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset

from bpkd.datasets.deep import ValueRange
from bpkd.datasets.image_files import image_files
from bpkd.datasets.images import MAX_PIXELS, Reading, read_image
from bpkd.datasets.labelled import Labelled
from bpkd.datasets.lists import read_lines
from bpkd.errors import UserError
from bpkd.recipe.sections import UnlabelledSection

#: In a drawn label map: nobody labelled this pixel. A pixel that somebody chose to ignore, or that
#: pads a small image, has ignore_index.
UNLABELLED = 2**16


class Unlabelled(Labelled):
    """Images alone, in any format that Pillow reads; each pixel's label is ``ignore_index``.

    Args:
        split: not looked at; every split has the same images.
        images: a folder, a pattern such as ``photos/**/*.jpg``, a text file of a path a line
            relative to it, or several of these.
        classes: those that the teacher knows: as for :class:`~bpkd.datasets.folder.Folder`;
            a run's ``classes.csv`` will do.
        palette: an (r, g, b) for each class; without any, colours are made up.
        ignore_index: label of every pixel.
        value_range: black and white of images of more than 8 bits; without it, measured.
        upright: turn images as their EXIF data ask.
        max_pixels: of the largest image that is read.

    Raises:
        UserError: there are no images, or no classes.
    """

    def __init__(
        self,
        split: str = "train",
        *,
        images: str | Sequence[str],
        classes: Sequence[Any] | Mapping[Any, Any] | str | Path,
        palette: Sequence[Sequence[int]] | None = None,
        ignore_index: int = 255,
        value_range: ValueRange | None = None,
        upright: bool = True,
        max_pixels: int = MAX_PIXELS,
    ) -> None:
        super().__init__(Path(), classes, palette, ignore_index, (), None)
        self.files = found([images] if isinstance(images, str) else images)
        self._read_as(Reading(value_range, upright, max_pixels), len(self.files))

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        image = read_image(self.files[index], self.reading)
        return image, torch.full(image.shape[1:], self.ignore_index, dtype=torch.int32)

    def image_file(self, index: int) -> Path:
        """The file of an image."""
        return self.files[index]

    def name(self, index: int) -> str:
        """Number and stem of an image's file; unique in the set."""
        return f"{index:06d}-{self.files[index].stem}"


def found(places: Sequence[str]) -> list[Path]:
    """The image files of folders, patterns and lists, each once.

    Raises:
        UserError: one of the places holds none, or a list names a file that does not exist.
    """
    files: dict[Path, None] = {}
    for place in places:
        path = Path(place).expanduser()
        if path.is_dir():
            here = list(image_files(path))
        elif path.suffix == ".txt" and path.is_file():
            here = [path.parent / line for line in read_lines(path)]
            if absent := [file for file in here if not file.is_file()]:
                raise UserError(
                    f"{path} names {absent[0]}, which does not exist; paths are relative to the "
                    f"list ({len(absent)} of {len(here)} are not there)"
                )
        else:
            here = [Path(name) for name in sorted(glob.glob(str(path), recursive=True))]
            here = [file for file in here if file.is_file()]
        if not here:
            raise UserError(
                f"unlabelled images: {place} holds none; expected a folder, a pattern such as "
                "photos/**/*.jpg, or a .txt of a path a line"
            )
        files |= dict.fromkeys(here)
    return list(files)


class Mixed(Dataset[tuple[Tensor, Tensor]]):
    """A labelled data set and images without labels, a fixed share of the draws being of these.

    Of the first k draws, the whole part of k times the share are without labels, so every batch
    has its share however batches are cut, and item k stays a function of (seed, k). Either part
    goes through its own samples, epoch by epoch.

    Args:
        labelled: the data set; its classes count.
        unlabelled: the images.
        share: of the draws, above 0; at 1 nothing labelled is drawn.

    Example:
        >>> mixed = Mixed([0] * 10, [0] * 3, share=0.75)  # type: ignore[arg-type]
        >>> [mixed.stream(k)[0] for k in range(8)]
        [0, 1, 1, 1, 0, 1, 1, 1]
    """

    def __init__(self, labelled: Any, unlabelled: Unlabelled, share: float) -> None:
        self.labelled, self.unlabelled = labelled, unlabelled
        self.share = Fraction(share).limit_denominator(1000)

    def __len__(self) -> int:
        return len(self.labelled) + len(self.unlabelled)

    def __getattr__(self, name: str) -> Any:
        if name == "labelled":  # copied and unpickled before it has any
            raise AttributeError(name)
        return getattr(self.labelled, name)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        if index < len(self.labelled):
            image, labels = self.labelled[index]
            return image, labels.int()
        image, labels = self.unlabelled[index - len(self.labelled)]
        return image, torch.full_like(labels, UNLABELLED)

    def stream(self, k: int) -> tuple[int, int, int, int]:
        """Draw k: 0 or 1 for its part, its number there, the part's first index, its length."""
        before = int(k * self.share)
        if int((k + 1) * self.share) > before:
            return 1, before, len(self.labelled), len(self.unlabelled)
        return 0, k - before, 0, len(self.labelled)


def with_unlabelled(data: Any, section: UnlabelledSection | None) -> Any:
    """What a run draws from: its data set, with images without labels where it has any.

    Raises:
        UserError: the images cannot be found, or the data set is of instances.
    """
    if section is None:
        return Mixed(data, data, 1.0) if isinstance(data, Unlabelled) else data
    if getattr(data, "task", "semantic") != "semantic":
        raise UserError("data.unlabelled: images without labels are for semantic segmentation")
    try:
        images = Unlabelled(
            images=section.images,
            classes=list(data.classes),
            palette=data.palette,
            ignore_index=data.ignore_index,
        )
    except UserError as error:
        raise UserError(f"data.unlabelled: {error}") from error
    if isinstance(data, Labelled):
        images.reading = data.reading
    return Mixed(data, images, section.share)
