"""Anyone's own data: a folder of images beside a folder of label maps."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset

from bpkd.datasets.classes import as_colour, class_list, spaced_palette
from bpkd.datasets.images import LabelReader, image_files, read_image
from bpkd.errors import UserError


class Folder(Dataset[tuple[Tensor, Tensor]]):
    """Pairs of an image and a label map, matched by their names.

    ``images/train/a/b.jpg`` belongs to ``labels/train/a/b.png``. Images: any format that Pillow
    reads, brought to 8-bit RGB (alpha is dropped, EXIF rotation applied, 16-bit grey scaled).
    Label maps: class indices in 8 or 16 bits, palette images (the index is the class), or RGB
    images in the exact colours of the palette.

    Args:
        root: folder that holds everything.
        split: "train", "val"...; "train+val" joins two splits.
        images: folder of the images, relative to ``root``.
        labels: folder of the label maps, relative to ``root``.
        classes: class names; or a list of ``{name, color: [r, g, b]}``; or a CSV file (header
            ``name,r,g,b``) or YAML file (such a list), absolute or relative to ``root``. Without
            it, ``classes.csv`` or ``classes.yaml`` in ``root``. The order gives the indices.
        palette: an (r, g, b) for each class; without any, colours are made up.
        ignore_index: label of the pixels that belong to no class, here and in the files.
        ignore: further values in the files to ignore; (r, g, b) entries for RGB label maps.
        label_map: value in the files -> class; values that it does not list stay as they are.
        image_suffix: end of the images' stems that the labels' stems lack.
        label_suffix: end of the labels' stems that the images' stems lack; other files are passed
            over. Cityscapes has ``_leftImg8bit`` and ``_gtFine_labelTrainIds``.

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

    def __init__(
        self,
        root: str | Path,
        split: str,
        *,
        images: str = "images/{split}",
        labels: str = "labels/{split}",
        classes: Sequence[Any] | str | Path | None = None,
        palette: Sequence[Sequence[int]] | None = None,
        ignore_index: int = 255,
        ignore: Sequence[int | Sequence[int]] = (),
        label_map: Mapping[int, int] | None = None,
        image_suffix: str = "",
        label_suffix: str = "",
    ) -> None:
        self.root = Path(root).expanduser()
        self.split = split
        self.ignore_index = ignore_index
        self.classes, colours = class_list(self.root, classes)
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
        small = 0 <= ignore_index <= 255 and len(self.classes) <= 256
        self._dtype = torch.uint8 if small else torch.int32
        self.pairs = self._find_pairs(images, labels, image_suffix, label_suffix)
        self._names = _names([image for image, _ in self.pairs])

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        image_file, label_file = self.pairs[index]
        image = read_image(image_file)
        labels = torch.from_numpy(self._read_labels(label_file)).to(self._dtype)
        if image.shape[1:] != labels.shape:
            sizes = [f"{width}x{height}" for height, width in (image.shape[1:], labels.shape)]
            raise UserError(
                f"{image_file} is {sizes[0]} and its label map {label_file} is {sizes[1]} "
                "(width x height): both must have one size"
            )
        return image, labels

    def name(self, index: int) -> str:
        """Stem of an image's file, for messages and the names of outputs; unique in the set."""
        return self._names[index]

    def _find_pairs(
        self, images: str, labels: str, image_suffix: str, label_suffix: str
    ) -> list[tuple[Path, Path]]:
        if not self.root.is_dir():
            raise UserError(f"root {self.root} is no folder: set it to the folder of the data set")
        if not isinstance(self.split, str) or not all(self.split.split("+")):
            raise UserError(f"split {self.split!r} is no split: write a name, or two as train+val")
        pairs: list[tuple[Path, Path]] = []
        # A layout without {split} names the same folders for each part: read them once.
        for image_part, label_part in dict.fromkeys(
            (images.replace("{split}", part), labels.replace("{split}", part))
            for part in self.split.split("+")
        ):
            found = _stems(self.root / image_part, image_suffix, self._layout(images, labels))
            maps = _stems(self.root / label_part, label_suffix, self._layout(images, labels))
            missing = [stem for stem in found if stem not in maps]
            if missing:
                raise UserError(
                    f"{found[missing[0]]} has no label map {missing[0]}{label_suffix}.png in "
                    f"{self.root / label_part} ({len(missing)} of {len(found)} images have none): "
                    "add it, or take the image away"
                )
            pairs += [(found[stem], maps[stem]) for stem in found]
        if not pairs:
            raise UserError(
                f"split {self.split!r} has no images in {self.root}: "
                f"expected {self._layout(images, labels)}"
            )
        return pairs

    def _layout(self, images: str, labels: str) -> str:
        return f"{self.root}/{images}/NAME.jpg beside {self.root}/{labels}/NAME.png"


def _stems(folder: Path, suffix: str, layout: str) -> dict[str, Path]:
    """Relative stem, without the suffix -> image file, sorted; hidden files are passed over."""
    if not folder.is_dir():
        raise UserError(f"{folder} is no folder: expected {layout}; correct root, split or pattern")
    found: dict[str, Path] = {}
    for file in image_files(folder):
        stem = file.relative_to(folder).with_suffix("").as_posix()
        if not stem.endswith(suffix):
            continue
        stem = stem.removesuffix(suffix)
        if stem in found:
            raise UserError(f"{found[stem]} and {file} bear one name: take one of them away")
        found[stem] = file
    return found


def _names(files: Sequence[Path]) -> list[str]:
    """Stems; where two are alike, with the folders that tell them apart."""
    stems = [file.stem for file in files]
    if len(set(stems)) == len(stems):
        return stems
    top = os.path.commonpath(files)
    return ["--".join(file.relative_to(top).with_suffix("").parts) for file in files]
