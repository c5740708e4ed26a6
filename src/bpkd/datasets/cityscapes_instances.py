"""Cityscapes' instances: the 8 classes of its benchmark that can be counted."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from bpkd.datasets.cityscapes import CLASSES
from bpkd.datasets.instance_folder import InstanceFolder

_THINGS = ("person", "rider", "car", "truck", "bus", "train", "motorcycle", "bicycle")
# id of the label files -> class, as cityscapesScripts has it.
THING_IDS = {24: 0, 25: 1, 26: 2, 27: 3, 28: 4, 31: 5, 32: 6, 33: 7}


class CityscapesInstances(InstanceFolder):
    """Cityscapes in its official layout, as instances: 2975 train and 500 val images.

    Images are in ``root/leftImg8bit/SPLIT/CITY/*_leftImg8bit.png``, maps in
    ``root/gtFine/SPLIT/CITY/*_gtFine_instanceIds.png``. A number is 1000 times the id of its
    label plus a count; a label's id alone is a group of such objects, which is a crowd here. The
    maps of ``test`` are not public.

    Args:
        root: folder that holds ``leftImg8bit`` and ``gtFine``.
        split: "train", "val", or "train+val".

    Raises:
        UserError: as in :class:`~bpkd.datasets.instance_folder.InstanceFolder`.
    """

    splits: ClassVar[tuple[str, ...]] = ("train", "val")

    def __init__(self, root: str | Path, split: str) -> None:
        super().__init__(
            root,
            split,
            images="leftImg8bit/{split}",
            instances="gtFine/{split}",
            classes=list(_THINGS),
            palette=[CLASSES[name] for name in _THINGS],
            divisor=1000,
            label_map=THING_IDS,
            image_suffix="_leftImg8bit",
            instance_suffix="_gtFine_instanceIds",
        )
