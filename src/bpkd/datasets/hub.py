"""Hugging Face ``datasets``: from the hub, saved on disk, Parquet files or image folders."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from bpkd.datasets.classes import class_list
from bpkd.datasets.deep import Array, ValueRange
from bpkd.datasets.hub_loading import declared_names, encoded_file, load, samples
from bpkd.datasets.images import MAX_PIXELS, Encoded, Reading, read_image
from bpkd.datasets.labelled import Labelled
from bpkd.errors import UserError


class Hub(Labelled):
    """Any data set of the ``datasets`` library with a column of images and one of label maps.

    Images and label maps are read from their encoded files, as
    :class:`~bpkd.datasets.folder.Folder` reads its own; label maps may also be nested lists or
    arrays of whole numbers.

    A streamed data set comes in one order and has no length, and training draws its samples in an
    order of its own that a resumed run repeats. So ``streaming`` goes with ``count``: the first
    ``count`` samples are fetched and kept in memory, encoded as they came, and from then on it is
    a data set like any other, without the rest of the archive on the disk.

    Args:
        root: name of a data set on the hub ("owner/name"); or a folder that ``save_to_disk``
            wrote; or a folder of Parquet files or images; or one Parquet file.
        split: "train", "validation"..., a sum such as "train+test", or a slice such as
            "train[:10%]" (not of what ``save_to_disk`` wrote).
        image: column of the images.
        label: column of the label maps.
        config: configuration of the data set, where it has several.
        revision: branch, tag or commit on the hub.
        streaming: fetch the samples one by one; see above.
        count: take the first so many samples; all of them without it.
        classes: as in Folder; files relative to the working folder. Without it, the names that the
            label column itself declares.
        palette: an (r, g, b) for each class; without any, colours are made up.
        ignore_index: label of the pixels that belong to no class, here and in the files.
        ignore: further values in the files to ignore.
        label_map: value in the files -> class; values that it does not list stay as they are.
        value_range: as in Folder.
        upright: as in Folder.
        max_pixels: as in Folder.
        reduce_zero_label: value 0 is ignored and value v is class v - 1, as in ADE20K.

    Raises:
        UserError: ``datasets`` is not installed; the data set, the split or a column is missing;
            the classes are not known; when an item is read, as in Folder.
    """

    def __init__(
        self,
        root: str | Path,
        split: str,
        *,
        image: str = "image",
        label: str = "label",
        config: str | None = None,
        revision: str | None = None,
        streaming: bool = False,
        count: int | None = None,
        classes: Sequence[Any] | Mapping[Any, Any] | str | Path | None = None,
        palette: Sequence[Sequence[int]] | None = None,
        ignore_index: int = 255,
        ignore: Sequence[int] = (),
        label_map: Mapping[int, int] | None = None,
        reduce_zero_label: bool = False,
        value_range: ValueRange | None = None,
        upright: bool = True,
        max_pixels: int = MAX_PIXELS,
    ) -> None:
        if streaming and count is None:
            raise UserError(
                f"{root}: a streamed data set has no length and no order to draw from; set `count` "
                "to the number of samples to keep from its beginning, or streaming to false"
            )
        if count is not None and count < 1:
            raise UserError(f"count {count!r}: expected a whole number above 0")
        self.root, self.split = str(root), split
        self._image, self._label = image, label
        loaded = load(self.root, split, config, revision, streaming)
        columns = {"image": image, "label": label}
        self._samples = samples(loaded, columns, count, self.root)
        if classes is None:
            classes = declared_names((loaded.features or {}).get(label))
        if classes is None:
            raise UserError(
                f"{root} does not say what the values of the column {label!r} are: give `classes` "
                "a list of names, or an id2label file (JSON)"
            )
        if reduce_zero_label:
            num_classes = len(class_list(Path(), classes)[0])
            shifted = {value: value - 1 for value in range(1, num_classes + 1)}
            ignore, label_map = [0, *ignore], {**shifted, **(label_map or {})}
        super().__init__(Path(), classes, palette, ignore_index, ignore, label_map)
        self._read_as(Reading(value_range, upright, max_pixels), len(self))

    def __len__(self) -> int:
        return len(self._samples)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        sample = self._samples[index]
        image_name, labels_name = self._where(index, self._image), self._where(index, self._label)
        image = read_image(encoded_file(sample[self._image], image_name), self.reading)
        labels = self._labels(sample[self._label], labels_name)
        return self._sample(image, labels, image_name, labels_name)

    def name(self, index: int) -> str:
        """What a sample is called in messages and the names of outputs: split and number."""
        return f"{re.sub('[^a-zA-Z0-9]+', '-', self.split).strip('-')}-{index:06d}"

    def _where(self, index: int, column: str) -> str:
        return f"{self.root}, {self.split}, sample {index}, column {column!r}"

    def image_file(self, index: int) -> Encoded:
        """The encoded file of an image."""
        return encoded_file(self._samples[index][self._image], self._where(index, self._image))

    def _labels(self, value: Any, where: str) -> Array:
        if not isinstance(value, list | np.ndarray):
            return self._read_labels(encoded_file(value, where))
        values = np.asarray(value)
        if values.ndim != 2 or values.dtype.kind not in "iub":
            raise UserError(
                f"{where} holds no label map (H, W) of whole numbers but {values.dtype} of the "
                f"shape {list(values.shape)}: name the column of the label maps in `label`"
            )
        return self._read_labels.from_values(values, where)
