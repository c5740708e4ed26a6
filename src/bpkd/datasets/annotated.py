"""Anyone's annotations, as a tool exports them: a folder in any of the known formats."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from bpkd.datasets.annotations.catalogue import named, recognised
from bpkd.datasets.annotations.common import Annotations, Drawing, Object, Values
from bpkd.datasets.annotations.drawing import Overlap, instances, label_map
from bpkd.datasets.annotations.format import Format
from bpkd.datasets.annotations.meaning import Meaning, check_known, meaning
from bpkd.datasets.annotations.pixels import Whole
from bpkd.datasets.annotations.splits import of_split, unique_names
from bpkd.datasets.annotations.tree import Tree
from bpkd.datasets.annotations.turning import Turning
from bpkd.datasets.classes import as_colour, class_list
from bpkd.datasets.colours import Colour, spaced_palette
from bpkd.datasets.deep import Array, ValueRange
from bpkd.datasets.images import MAX_PIXELS, Reading, read_image
from bpkd.datasets.instances import Instances, boxes_of
from bpkd.datasets.labelled import Labelled
from bpkd.datasets.value_range import measured
from bpkd.errors import UserError


class Annotated(Labelled):
    """Images with the annotations of a tool: COCO, CVAT, LabelMe, Label Studio, masks...

    :mod:`bpkd.datasets.annotations.catalogue` lists the formats. Nothing below ``root`` is changed.

    Args:
        root: folder that holds the images and the annotations.
        split: "train", "val", "test", a sum of them, or "all". The folders' and files' names say
            which images are in it, unless there is a list.
        format: name of the format; without it, the one that is recognised.
        list: text file of a split, such as ``splits/{split}.txt``, relative to the working folder:
            an image a line, its path relative to ``root``.
        classes: names in the order of their indices; or entries of ``name`` and, for masks,
            ``value`` or ``color``; or a file as in :class:`~bpkd.datasets.folder.Folder`. Without
            it, what the annotations declare, or else all names that occur, by the alphabet; where
            something can be left uncovered, the background stands before them.
        palette: an (r, g, b) for each class.
        background: class of the pixels that nothing covers; None ignores them.
        class_map: name in the annotations -> class, to join several in one.
        ignore: names, and of masks values and [r, g, b], of what belongs to no class.
        ignore_index: label of the pixels that belong to no class.
        overlap: of two objects, whether the "later" one in the file lies over the other or the
            "smaller" one; without it, as the format's own tool shows them. Crowds lie below all.
        value_range: values of black and white in images of more than 8 bits; measured without it.
        upright: turn images as their EXIF data ask; false where the annotations lie as the image
            files do and the sizes do not show it.
        max_pixels: of the largest image that is read.
        task: "semantic" yields label maps, "instance" the objects.
        found: the annotations, where they have been read already.

    Raises:
        UserError: no known format, or several; no such split; names that are no classes; when an
            item is read, sizes that differ, or a value or name that is no class.
    """

    def __init__(
        self,
        root: str | Path,
        split: str,
        *,
        format: str | None = None,
        list: str | None = None,
        classes: Sequence[Any] | Mapping[Any, Any] | str | Path | None = None,
        palette: Sequence[Sequence[int]] | None = None,
        background: str | None = "background",
        class_map: Mapping[str, str] | None = None,
        ignore: Sequence[Any] = (),
        ignore_index: int = 255,
        overlap: Overlap | None = None,
        value_range: ValueRange | None = None,
        upright: bool = True,
        max_pixels: int = MAX_PIXELS,
        task: Literal["semantic", "instance"] = "semantic",
        found: Annotations | None = None,
    ) -> None:
        # Not Labelled's own beginning: what values mean is another question here.
        tree = Tree(root)
        form = named(format) if format else recognised(tree)
        if task == "instance" and not form.instances:
            raise UserError(f"{tree.root}: {form.title} hold no instances: use task: semantic")
        given = None if classes is None else class_list(tree.root, classes)
        found = found or form.read(tree, None if given is None else given[0])
        own, colours = given or (own_classes(form, found, background, task), None)
        if 0 <= ignore_index < len(own):
            raise UserError(f"ignore_index {ignore_index} is a class: take one from {len(own)} on")
        covering = _covering(form, found, own, background, task)
        check_known(found, "class_map", class_map or {})
        check_known(found, "ignore", [name for name in ignore if isinstance(name, str)])
        aside = [*ignore]
        if task == "instance":
            aside += [name for name in (found.background, background) if name]
        entries = own if classes is None or isinstance(classes, str | Path | Mapping) else classes
        self.root, self.split, self.task, self.ignore_index = tree.root, split, task, ignore_index
        self.format, self.remarks = form, found.remarks
        self.classes, self.palette = own, _palette(own, palette or colours, found)
        self.samples = of_split(found, tree, split, list)
        self._names = unique_names(tree, self.samples)
        self._meaning: Meaning = meaning(
            found, own, entries, class_map or {}, aside, covering, ignore_index
        )
        reading = Reading(value_range, upright, max_pixels)
        self.reading = measured(self.image_file, len(self.samples), reading)
        self._overlap: Overlap = overlap or form.overlap or "later"
        self._dtype = torch.uint8 if ignore_index <= 255 and len(own) <= 256 else torch.int32

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> tuple[Tensor, Any]:
        sample = self.samples[index]
        image = read_image(sample.image, self.reading)
        size = (image.shape[1], image.shape[2])
        content = sample.read()
        if isinstance(content, Drawing):
            own = None if content.size is None else content.size[::-1]
        else:
            own = (content.values.shape[0], content.values.shape[1])
        turning = Turning(sample.image, size, own, content.where)
        if self.task == "instance":
            return image, self._instances(content, turning)
        return image, torch.from_numpy(turning(self._labels(content, turning.size))).to(self._dtype)

    def image_file(self, index: int) -> Path:
        """The file of an image."""
        return self.samples[index].image

    def name(self, index: int) -> str:
        """Stem of an image's file, for messages and the names of outputs; unique in the set."""
        return self._names[index]

    def _labels(self, content: Drawing | Values, size: tuple[int, int]) -> Array:
        if isinstance(content, Values):
            return self._meaning.of_values(content.values, content.where)
        self._meaning.check([thing.label for thing in content.objects], content.where)
        return label_map(
            content, self._meaning.names, size, self._meaning.background, self._overlap
        )

    def _instances(self, content: Drawing | Values, turning: Turning) -> Instances:
        if isinstance(content, Values):
            content = self._objects(content)
        self._meaning.check([thing.label for thing in content.objects], content.where)
        meant = {n: i for n, i in self._meaning.names.items() if i != self.ignore_index}
        found = instances(content, meant, turning.size)
        turned = [torch.from_numpy(turning(mask.numpy())) for mask in found.masks]
        masks = torch.stack(turned) if turned else found.masks
        return found._replace(masks=masks, boxes=boxes_of(masks))

    def _objects(self, content: Values) -> Drawing:
        """The objects of a mask of objects: each of the class that most of its pixels have."""
        if content.objects is None:
            raise UserError(
                f"{content.where} has no mask of objects beside it (SegmentationObject)"
            )
        labels = self._meaning.of_values(content.values, content.where)
        things = []
        for number in np.unique(content.objects[content.objects > 0]).tolist():
            mask = (content.objects == number) & (labels != self.ignore_index)
            if mask.any():
                label = int(np.bincount(labels[mask]).argmax())
                things.append(Object(self.classes[label], Whole.of(mask)))
        return Drawing(content.where, things)


def own_classes(
    form: Format, found: Annotations, background: str | None, task: str = "semantic"
) -> list[str]:
    """The classes of a folder where nobody gives any.

    Args:
        form: the folder's format.
        found: its annotations.
        background: what to call that which nothing covers; None for no such class.
        task: instances have no background.
    """
    names = [name for name in found.classes if name not in found.void]
    if task == "instance":
        return [name for name in names if name not in (found.background, background)]
    if form.leaves_uncovered() and not found.background and background and background not in names:
        return [background, *names]
    return names


def _covering(
    form: Format, found: Annotations, classes: Sequence[str], background: str | None, task: str
) -> str | None:
    """The class of what nothing covers; None where that is ignored."""
    if task == "instance" or background is None:
        return None
    for name in (background, found.background):
        if name in classes:
            return name
    if form.leaves_uncovered():
        raise UserError(
            f"background {background!r} is not among `classes`, and nothing covers some pixels: "
            "add it to `classes`, or set background to null to ignore them"
        )
    return None


def _palette(
    classes: Sequence[str], given: Sequence[Sequence[int]] | None, found: Annotations
) -> list[Colour]:
    """Those given; or those of the annotations, with others for the rest."""
    if given is not None:
        if len(given) != len(classes):
            raise UserError(f"palette has {len(given)} colours for {len(classes)} classes")
        return [as_colour(colour, "palette") for colour in given]
    spaced = spaced_palette(len(classes))
    made = [found.colours.get(name, spaced[i]) for i, name in enumerate(classes)]
    return made if len(set(made)) == len(made) else spaced
