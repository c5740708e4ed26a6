"""CamVid: 701 frames of driving video, 11 classes, 360x480 pixels in the common version."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from bpkd.datasets.folder import Folder

CLASSES = {
    "sky": (128, 128, 128),
    "building": (128, 0, 0),
    "pole": (192, 192, 128),
    "road": (128, 64, 128),
    "pavement": (60, 40, 222),
    "tree": (128, 128, 0),
    "sign symbol": (192, 128, 128),
    "fence": (64, 64, 128),
    "car": (64, 0, 128),
    "pedestrian": (64, 64, 0),
    "bicyclist": (0, 128, 192),
}
VOID = 11


class CamVid(Folder):
    """CamVid in the layout that SegNet made common: 367 train, 101 val and 233 test images.

    Images are in ``root/train/NAME.png`` (or .jpg), label maps in ``root/trainannot/NAME.png``.
    Value 11, void, is ignored.

    Args:
        root: folder that holds ``train``, ``trainannot``, ``val``...
        split: "train", "val", "test" or a sum such as "train+val".

    Raises:
        UserError: as in :class:`~bpkd.datasets.folder.Folder`.

    >>> len(CLASSES), list(CLASSES)[:3]
    (11, ['sky', 'building', 'pole'])
    """

    image_ending = ".png"
    published: ClassVar = {"train": 367, "val": 101, "test": 233}

    def __init__(self, root: str | Path, split: str) -> None:
        super().__init__(
            root,
            split=split,
            images="{split}",
            labels="{split}annot",
            classes=list(CLASSES),
            palette=list(CLASSES.values()),
            ignore=(VOID,),
        )
