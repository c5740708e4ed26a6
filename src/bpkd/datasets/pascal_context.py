"""Pascal Context: the images of VOC2010 with every pixel labelled, 59 classes."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from bpkd.datasets.classes import listed
from bpkd.datasets.colours import spaced_palette
from bpkd.datasets.folder import Folder
from bpkd.datasets.voc import voc_folder

# Value 1, 2, ... of the label maps. MMSegmentation, whose checkpoints are the published ones,
# numbers the classes by the alphabet (by their numbers among all 459 labels); the authors' own
# 59_labels.txt begins with the 20 classes of VOC instead. The files do not tell which they follow.
CLASSES = listed("""
aeroplane, bag, bed, bedclothes, bench, bicycle, bird, boat, book, bottle, building, bus, cabinet,
car, cat, ceiling, chair, cloth, computer, cow, cup, curtain, dog, door, fence, floor, flower, food,
grass, ground, horse, keyboard, light, motorbike, mountain, mouse, person, plate, platform,
pottedplant, road, rock, sheep, shelves, sidewalk, sign, sky, snow, sofa, table, track, train, tree,
truck, tvmonitor, wall, water, window, wood
""")
# Number of each class, in this order, among the 459 labels of the original annotations.
LABEL_IDS = (
    *(2, 9, 18, 19, 22, 23, 25, 31, 33, 34, 44, 45, 46, 59, 65, 68, 72, 80, 85, 98, 104, 105, 113),
    *(115, 144, 158, 159, 162, 187, 189, 207, 220, 232, 258, 259, 260, 284, 295, 296, 308, 324),
    *(326, 347, 349, 354, 355, 360, 366, 368, 397, 415, 416, 420, 424, 427, 440, 445, 454, 458),
)


class PascalContext(Folder):
    """Pascal Context in the layout that MMSegmentation made common: 4998 train, 5105 val images.

    Below the folder ``VOC2010``: images in ``JPEGImages/*.jpg``, label maps in
    ``SegmentationClassContext/*.png``, the splits in ``ImageSets/SegmentationContext/SPLIT.txt``.
    The label maps hold 1 to 59, the classes by the alphabet, and 0 for all else.

    Images from the PASCAL VOC 2010 trainval archive (host.robots.ox.ac.uk), annotations from
    cs.stanford.edu/~roozbeh/pascal-context, both free for research; ``bpkd data prepare
    pascal-context`` makes the label maps and the lists.

    Args:
        root: folder that holds ``VOCdevkit/VOC2010`` or ``VOC2010``, or that folder itself.
        split: "train", "val" or "train+val".
        background: make value 0 a class of its own, the first of 60, as some papers do; otherwise
            it is ignored.

    Raises:
        UserError: as in :class:`~bpkd.datasets.folder.Folder`.

    >>> len(CLASSES), CLASSES[0], CLASSES[-1], dict(zip(CLASSES, LABEL_IDS))["table"]
    (59, 'aeroplane', 'wood', 397)
    """

    splits = ("train", "val")
    source = (
        "VOC2010 trainval from host.robots.ox.ac.uk, annotations from "
        "cs.stanford.edu/~roozbeh/pascal-context, made into PNGs by bpkd data prepare "
        "pascal-context"
    )
    published: ClassVar = {"train": 4998, "val": 5105}

    def __init__(self, root: str | Path, split: str, *, background: bool = False) -> None:
        super().__init__(
            voc_folder(root, 2010),
            split,
            images="JPEGImages",
            labels="SegmentationClassContext",
            list="ImageSets/SegmentationContext/{split}.txt",
            classes=["background", *CLASSES] if background else CLASSES,
            palette=spaced_palette(60)[0 if background else 1 :],
            ignore=() if background else (0,),
            label_map=None if background else {value: value - 1 for value in range(1, 60)},
        )
