"""Anyone's own data: a folder of images beside a folder of label maps."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from torch import Tensor

from bpkd.datasets.deep import ValueRange
from bpkd.datasets.images import MAX_PIXELS, Reading, read_image
from bpkd.datasets.labelled import Labelled
from bpkd.datasets.pairs import Layout
from bpkd.errors import UserError


class Folder(Labelled):
    """Pairs of an image and a label map, matched by their names.

    ``images/train/a/b.jpg`` belongs to ``labels/train/a/b.png``. Images: any format that Pillow
    reads, brought to 8-bit RGB (alpha is dropped, EXIF rotation applied, 16 bits scaled).
    Label maps: class indices in 8 or 16 bits, palette images (the index is the class, unless the
    palette has the classes' own colours under other indices), or RGB images in the exact colours
    of the palette; never JPEG, which blurs them. Images and label maps may share a folder.

    Args:
        root: folder that holds everything.
        split: "train", "val"...; "train+val" joins two splits.
        images: folder of the images, relative to ``root``.
        labels: folder of the label maps, relative to ``root``; or several, of which the first that
            has an image's label map counts.
        list: text file of a split, relative to ``root``, such as ``lists/{split}.txt``: a line
            holds the stem of an image, or the paths of an image and its label map relative to
            ``root``. Without it, every image of the folder.
        classes: class names; or a list of ``{name, color: [r, g, b]}``; or a file, absolute or
            relative to ``root``: CSV (header ``name,r,g,b``), YAML (such a list) or JSON (such a
            list, or ``id2label`` as transformers writes it). Without it, ``classes.csv`` or
            ``classes.yaml`` in ``root``. The order gives the indices.
        palette: an (r, g, b) for each class; without any, colours are made up.
        ignore_index: label of the pixels that belong to no class, here and in the files.
        ignore: further values in the files to ignore; (r, g, b) entries for RGB label maps.
        label_map: value in the files -> class; values that it does not list stay as they are.
        image_suffix: end of the images' stems that the labels' stems lack.
        label_suffix: end of the labels' stems that the images' stems lack; other files are passed
            over. Cityscapes has ``_leftImg8bit`` and ``_gtFine_labelTrainIds``.
        value_range: values of black and white in images of more than 8 bits. Without it, 0 and
            the greatest of 8, 10, 12, 14 or 16 bits, whichever is the fewest that the images use.
        upright: turn images as their EXIF data ask; false where the label maps lie as the image
            files do.
        max_pixels: of the largest image or label map that is read.

    Raises:
        UserError: at construction, a folder, a label map or the classes are missing or make no
            sense; when an item is read, its files are damaged, of different sizes, or hold a
            value or colour that is no class.

    >>> import tempfile
    >>> from PIL import Image
    >>> root = Path(tempfile.mkdtemp())
    >>> for folder, mode in (("images", "RGB"), ("labels", "L")):
    ...     (root / folder / "train").mkdir(parents=True)
    ...     Image.new(mode, (4, 2)).save(root / folder / "train" / "street.png")
    >>> data = Folder(root, split="train", classes=["road", "car"])
    >>> image, labels = data[0]
    >>> data.name(0), image.shape, labels.tolist()
    ('street', torch.Size([3, 2, 4]), [[0, 0, 0, 0], [0, 0, 0, 0]])
    """

    splits: ClassVar[tuple[str, ...]] = ()
    """Names that ``split`` may have; none: any."""
    source: ClassVar[str] = ""
    """Where the data are to be had, for messages."""
    image_ending: ClassVar[str] = ".jpg"
    """Of the images' files, for messages."""
    published: ClassVar[Mapping[str, int]] = {}
    """Images in each split of a published data set, in which every label map has its image."""

    def __init__(
        self,
        root: str | Path,
        split: str,
        *,
        images: str = "images/{split}",
        labels: str | Sequence[str] = "labels/{split}",
        list: str | None = None,
        classes: Sequence[Any] | Mapping[Any, Any] | str | Path | None = None,
        palette: Sequence[Sequence[int]] | None = None,
        ignore_index: int = 255,
        ignore: Sequence[int | Sequence[int]] = (),
        label_map: Mapping[int, int] | None = None,
        image_suffix: str = "",
        label_suffix: str = "",
        value_range: ValueRange | None = None,
        upright: bool = True,
        max_pixels: int = MAX_PIXELS,
    ) -> None:
        self.root = Path(root).expanduser()
        self.split = split
        super().__init__(self.root, classes, palette, ignore_index, ignore, label_map)
        self._check_split()
        labels = (labels,) if isinstance(labels, str) else tuple(labels)
        layout = Layout(
            self.root, images, labels, list, image_suffix, label_suffix, self.source,
            self.image_ending,
        )  # fmt: skip
        self.pairs = layout.pairs(split)
        self._names = unique_names([image for image, _ in self.pairs])
        reading = Reading(value_range, upright, max_pixels)
        self._read_as(reading, len(self.pairs))

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        image_file, label_file = self.pairs[index]
        image = read_image(image_file, self.reading)
        return self._sample(image, self._read_labels(label_file), image_file, label_file)

    def image_file(self, index: int) -> Path:
        """The file of an image."""
        return self.pairs[index][0]

    def name(self, index: int) -> str:
        """Stem of an image's file, for messages and the names of outputs; unique in the set."""
        return self._names[index]

    def _check_split(self) -> None:
        parts = self.split.split("+") if isinstance(self.split, str) else []
        if not parts or not all(parts):
            raise UserError(f"split {self.split!r} is no split: write a name, or two as train+val")
        if unknown := [part for part in parts if self.splits and part not in self.splits]:
            raise UserError(
                f"{type(self).__name__} has no split {unknown[0]!r}: expected "
                f"{', '.join(self.splits)}, or some of them as in train+val"
            )


def any_file(folder: Path, split: str, pattern: str) -> bool:
    """Whether the folder of any part of a split holds a file of that pattern.

    One answer for the whole set: where an encoding is half converted, the files that it lacks are
    missed, instead of being read by the other one's rules.
    """
    return any(any((folder / part).glob(pattern)) for part in split.split("+"))


def unique_names(files: Sequence[Path]) -> list[str]:
    """Stems; where two are alike, with the folders that tell them apart."""
    stems = [file.stem for file in files]
    if len(set(stems)) == len(stems):
        return stems
    top = os.path.commonpath(files)
    return ["--".join(file.relative_to(top).with_suffix("").parts) for file in files]
