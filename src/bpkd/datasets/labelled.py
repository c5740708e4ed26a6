"""What every data set read from files has: classes, colours, and a meaning for each label value."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset

from bpkd.datasets.classes import as_colour, class_list
from bpkd.datasets.colours import spaced_palette
from bpkd.datasets.deep import Array
from bpkd.datasets.images import AS_IT_IS, Encoded, Reading, glance
from bpkd.datasets.labels import LabelReader
from bpkd.datasets.value_range import measured
from bpkd.errors import UserError


class Labelled(Dataset[tuple[Tensor, Tensor]]):
    """Base of data sets whose label maps come from files; a subclass finds and opens the files.

    Args:
        root: folder that a file of classes is relative to.
        classes: names, or a file of them: see :func:`~bpkd.datasets.classes.class_list`.
        palette: an (r, g, b) for each class; without any, colours are made up.
        ignore_index: label of the pixels that belong to no class, here and in the files.
        ignore: further values in the files to ignore; (r, g, b) entries for RGB label maps.
        label_map: value in the files -> class; values that it does not list stay as they are.

    Raises:
        UserError: they make no sense, alone or together.
    """

    reading: Reading = AS_IT_IS
    """How the images are read; see :meth:`_read_as`."""

    def __init__(
        self,
        root: Path,
        classes: Sequence[Any] | Mapping[Any, Any] | str | Path | None,
        palette: Sequence[Sequence[int]] | None,
        ignore_index: int,
        ignore: Sequence[int | Sequence[int]],
        label_map: Mapping[int, int] | None,
    ) -> None:
        self.ignore_index = ignore_index
        self.classes, colours = class_list(root, classes)
        colours = colours if palette is None else [as_colour(c, "palette") for c in palette]
        if colours is not None and len(colours) != len(self.classes):
            raise UserError(
                f"palette has {len(colours)} colours for {len(self.classes)} classes: "
                "give one [r, g, b] for each class"
            )
        self.palette = colours or spaced_palette(len(self.classes))
        ignored_colours = [
            as_colour(c, "an entry of `ignore`") for c in ignore if not isinstance(c, int)
        ]
        self._read_labels = LabelReader(
            len(self.classes),
            ignore_index,
            [value for value in ignore if isinstance(value, int)],
            label_map or {},
            None if colours is None else (colours, ignored_colours),
        )

    def image_file(self, index: int) -> Path | Encoded:
        """The file of an image."""
        raise NotImplementedError

    def turned(self, index: int) -> bool:
        """Whether EXIF turns an image, and its size does not tell if its label map is turned."""
        if not self.reading.upright:
            return False
        seen = glance(self.image_file(index))
        how = seen.orientation
        return how in (2, 3, 4) or (how != 1 and seen.size[0] == seen.size[1])

    def _read_as(self, reading: Reading, count: int) -> None:
        """Read images and label maps that way; the range is measured where it is not given.

        Args:
            reading: as the arguments say.
            count: how many images there are.
        """
        self._read_labels.max_pixels = reading.max_pixels
        self.reading = measured(self.image_file, count, reading)

    def _sample(
        self, image: Tensor, labels: Array, image_name: object, labels_name: object
    ) -> tuple[Tensor, Tensor]:
        """An image with its labels as a tensor, of one size; the names are for the message."""
        if image.shape[1:] != labels.shape:
            sizes = [f"{width}x{height}" for height, width in (image.shape[1:], labels.shape)]
            turned = self.reading.upright and image.shape[:0:-1] == labels.shape
            raise UserError(
                f"{image_name} is {sizes[0]} and its label map {labels_name} is {sizes[1]} "
                "(width x height): both must have one size"
                + ("; if EXIF turns the photo, set upright: false" if turned else "")
            )
        return image, torch.from_numpy(labels.astype(self._read_labels.dtype, copy=False))
