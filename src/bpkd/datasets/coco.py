"""COCO, and whatever is annotated in its format: instances as polygons or run lengths."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

from torch import Tensor
from torch.utils.data import Dataset

from bpkd.datasets.classes import as_colour
from bpkd.datasets.coco_file import CocoFile, ImageEntry, Packed, read_coco
from bpkd.datasets.colours import Colour, spaced_palette
from bpkd.datasets.decoding import decoded, mask_api
from bpkd.datasets.folder import unique_names
from bpkd.datasets.images import Reading, read_image
from bpkd.datasets.instances import Instances
from bpkd.datasets.unpaired import Fault, no_pair
from bpkd.errors import UserError
from bpkd.support.messages import suggestion

_OFFICIAL = {"train": "train2017", "val": "val2017", "test": "test2017"}
_LEAST_SIDE = 32  # of an image to be learnt from, as in MMDetection's recipes


class COCO(Dataset[tuple[Tensor, Instances]]):
    """Images with instances, from files of COCO's instances format.

    COCO's own layout is ``root/annotations/instances_train2017.json`` beside ``root/train2017`` or
    ``root/images/train2017``, and ``train`` and ``val`` stand for ``train2017`` and ``val2017``.
    Any other layout is told by ``annotations`` and ``images``. Polygons, run lengths and crowds are
    decoded by faster-coco-eval (``pip install 'bpkd[instance]'``). Boxes and areas are those of
    the file, and the masks' where it has none.

    Args:
        root: folder that the others are relative to.
        split: stands for ``{split}``; ``train+val`` joins two.
        annotations: file of a split.
        images: folder of a split's images, which the file's names are relative to. None:
            ``{split}`` or ``images/{split}``, whichever is there.
        classes: names of some of the file's categories, in the order of the classes; None: all of
            them, by ascending id.
        palette: an (r, g, b) for each class; without it, colours are made up.
        drop_broken: leave out annotations and images that are broken, instead of refusing.

    Attributes:
        classes, palette: as above.
        category_ids: of the classes, in the files.
        image_ids: of the images, in the files.
        files: the images'.

    Raises:
        UserError: a file or folder is missing or in another format, a class is unknown, an image
            or annotation is broken or listed twice; when an item is read, its image is damaged
            or of another size than the file says.

    >>> import json, tempfile
    >>> from PIL import Image
    >>> root = Path(tempfile.mkdtemp())
    >>> Image.new("RGB", (6, 4)).save(root / "a.png")
    >>> square = [[1, 1, 3, 1, 3, 3, 1, 3]]
    >>> content = {
    ...     "images": [{"id": 5, "file_name": "a.png", "height": 4, "width": 6}],
    ...     "categories": [{"id": 18, "name": "dog"}],
    ...     "annotations": [{"id": 1, "image_id": 5, "category_id": 18, "segmentation": square}],
    ... }
    >>> _ = (root / "train.json").write_text(json.dumps(content))
    >>> data = COCO(root, "train", annotations="{split}.json", images=".")
    >>> image, instances = data[0]
    >>> data.classes, image.shape, instances.boxes.tolist(), int(instances.masks.sum())
    (['dog'], torch.Size([3, 4, 6]), [[1.0, 1.0, 3.0, 3.0]], 4)
    """

    task: ClassVar[str] = "instance"
    splits: ClassVar[tuple[str, ...]] = ("train", "val")
    """What is looked for where a recipe does not say; others will do as well."""

    def __init__(
        self,
        root: str | Path,
        split: str,
        *,
        annotations: str = "annotations/instances_{split}.json",
        images: str | None = None,
        classes: Sequence[str] | None = None,
        palette: Sequence[Sequence[int]] | None = None,
        drop_broken: bool = False,
    ) -> None:
        mask_api("a COCO data set")  # says at once that it is missing
        self.root, self.split = Path(root).expanduser(), split
        found = [self._open(part, annotations, images) for part in str(split).split("+")]
        self.categories = _one(found)
        self.classes, self.category_ids = _chosen(self.categories, classes, found[0][1])
        self.palette = _colours(palette, len(self.classes))
        self._labels = {own: label for label, own in enumerate(self.category_ids)}
        faults: list[Fault] = []
        entries: list[tuple[Path, ImageEntry]] = []
        for content, file, folder in found:
            lost = _missing(content.images, folder)
            entries += [(folder, e) for e in content.images if e.file_name not in lost]
            faults += [(name, f"{file}: {what}") for name, what in content.faults]
            faults += [(Path(n).stem, f"{folder / n} does not exist") for n in sorted(lost)]
        if not drop_broken:
            others = f" ({len(faults)} such in all)" if len(faults) > 1 else ""
            no_pair(faults, f"correct it, or set data.drop_broken=true to do without{others}")
        self.image_ids = [entry.id for _, entry in entries]
        self.files = [folder / entry.file_name for folder, entry in entries]
        self._names = unique_names(self.files) if entries else []
        self.trainable = [i for i, (_, e) in enumerate(entries) if self._teaches(e)]
        """Images that something can be learnt from: an instance, both sides 32 pixels or more."""
        self._entries = Packed(entry for _, entry in entries)

    def __len__(self) -> int:
        return len(self._entries)

    def __getitem__(self, index: int) -> tuple[Tensor, Instances]:
        entry: ImageEntry = self._entries[index]
        file = self.files[index]
        image = read_image(file)
        if image.shape[1:] != (entry.height, entry.width):
            image = read_image(
                file, Reading(upright=False)
            )  # annotated as it lies, whatever EXIF says
        if image.shape[1:] != (entry.height, entry.width):
            raise UserError(
                f"{file} is {image.shape[2]}x{image.shape[1]} and its annotations are for "
                f"{entry.width}x{entry.height} (width x height): both must have one size"
            )
        return image, decoded(entry, self._labels)

    def name(self, index: int) -> str:
        """Stem of an image's file, for messages and the names of outputs; unique in the set."""
        return self._names[index]

    def _teaches(self, entry: ImageEntry) -> bool:
        large = min(entry.height, entry.width) >= _LEAST_SIDE
        return large and any(
            not each.crowd and each.category in self._labels for each in entry.annotations
        )

    def _open(self, part: str, annotations: str, images: str | None) -> tuple[CocoFile, Path, Path]:
        """A split's content, its file, and the folder of its images."""
        if not self.root.is_dir():
            raise UserError(f"root {self.root} is no folder: set it to the folder of the data set")
        names = [part, _OFFICIAL[part]] if part in _OFFICIAL else [part]
        files = [self.root / annotations.replace("{split}", name) for name in names]
        file = next((file for file in files if file.is_file()), None)
        if file is None:
            raise UserError(
                f"{' or '.join(map(str, files))} does not exist: correct data.root, "
                f"data.annotations or the split {part!r}{self._elsewhere(annotations)}"
            )
        name = names[files.index(file)]
        folders = [self.root / p.replace("{split}", name) for p in _folders(images)]
        folder = next((folder for folder in folders if folder.is_dir()), None)
        if folder is None:
            raise UserError(
                f"{' or '.join(map(str, folders))} is no folder: expected the images of {file} "
                "there; set data.images"
            )
        return read_coco(file), file, folder

    def _elsewhere(self, annotations: str) -> str:
        """The end of a message: which such files there are, here or a folder further."""
        pattern = annotations.replace("{split}", "*")
        try:
            found = sorted(self.root.glob(pattern)) or sorted(self.root.glob(f"*/{pattern}"))
        except (ValueError, NotImplementedError):  # an absolute path
            found = []
        return f"; there is {', '.join(map(str, found[:3]))}" if found else ""


def _folders(images: str | None) -> tuple[str, ...]:
    return ("{split}", "images/{split}") if images is None else (images,)


def _one(found: Sequence[tuple[CocoFile, Path, Path]]) -> dict[int, str]:
    """The categories, which all files must share."""
    for file, where, _ in found[1:]:
        if file.categories != found[0][0].categories:
            raise UserError(
                f"{where} has other categories than {found[0][1]}: they cannot be joined"
            )
    return found[0][0].categories


def _chosen(
    categories: dict[int, str], classes: Sequence[str] | None, where: Path
) -> tuple[list[str], list[int]]:
    """Names and ids of the classes."""
    if classes is None:
        return list(categories.values()), list(categories)
    if isinstance(classes, str) or not classes or len({*classes}) < len(classes):
        raise UserError(f"classes {classes!r}: expected a list of different names, or none for all")
    ids = {name: own for own, name in categories.items()}
    if unknown := [name for name in classes if name not in ids]:
        raise UserError(f"{where} has no category {unknown[0]!r}; {suggestion(unknown[0], ids)}")
    return list(classes), [ids[name] for name in classes]


def _colours(palette: Sequence[Any] | None, count: int) -> list[Colour]:
    if palette is None:
        return spaced_palette(count)
    if len(palette) != count:
        raise UserError(
            f"palette has {len(palette)} colours for {count} classes: give one [r, g, b] for each"
        )
    return [as_colour(colour, "palette") for colour in palette]


def _missing(images: Sequence[ImageEntry], folder: Path) -> set[str]:
    """The names that no file bears; one look into the folder, for COCO has 118287."""
    there = set(os.listdir(folder))
    wanted = {entry.file_name for entry in images} - there
    return {name for name in wanted if not (folder / name).is_file()}
