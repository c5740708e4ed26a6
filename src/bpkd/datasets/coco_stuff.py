"""COCO-Stuff 164k: the images of COCO 2017 with every pixel labelled, 171 classes."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from bpkd.datasets.classes import listed
from bpkd.datasets.folder import Folder, any_file

# Value 0, 1, ... of the label maps; COCO numbers the same entries from 1.
_ENTRIES = listed("""
person, bicycle, car, motorcycle, airplane, bus, train, truck, boat, traffic light, fire hydrant,
street sign, stop sign, parking meter, bench, bird, cat, dog, horse, sheep, cow, elephant, bear,
zebra, giraffe, hat, backpack, umbrella, shoe, eye glasses, handbag, tie, suitcase, frisbee, skis,
snowboard, sports ball, kite, baseball bat, baseball glove, skateboard, surfboard, tennis racket,
bottle, plate, wine glass, cup, fork, knife, spoon, bowl, banana, apple, sandwich, orange,
broccoli, carrot, hot dog, pizza, donut, cake, chair, couch, potted plant, bed, mirror, dining
table, window, desk, toilet, door, tv, laptop, mouse, remote, keyboard, cell phone, microwave,
oven, toaster, sink, refrigerator, blender, book, clock, vase, scissors, teddy bear, hair drier,
toothbrush, hair brush, banner, blanket, branch, bridge, building-other, bush, cabinet, cage,
cardboard, carpet, ceiling-other, ceiling-tile, cloth, clothes, clouds, counter, cupboard,
curtain, desk-stuff, dirt, door-stuff, fence, floor-marble, floor-other, floor-stone, floor-tile,
floor-wood, flower, fog, food-other, fruit, furniture-other, grass, gravel, ground-other, hill,
house, leaves, light, mat, metal, mirror-stuff, moss, mountain, mud, napkin, net, paper, pavement,
pillow, plant-other, plastic, platform, playingfield, railing, railroad, river, road, rock, roof,
rug, salad, sand, sea, shelf, sky-other, skyscraper, snow, solid-other, stairs, stone, straw,
structural-other, table, tent, textile-other, towel, tree, vegetable, wall-brick, wall-concrete,
wall-other, wall-panel, wall-stone, wall-tile, wall-wood, water-other, waterdrops, window-blind,
window-other, wood
""")
# Things that COCO gave a number and never labelled.
_UNUSED = (11, 25, 28, 29, 44, 65, 67, 68, 70, 82, 90)
_USED = [value for value in range(len(_ENTRIES)) if value not in _UNUSED]
_FOLDERS = {"train": "train2017", "val": "val2017"}
IGNORED = 255
CLASSES = [_ENTRIES[value] for value in _USED]
# Value of the label maps (0 to 181) -> class, with the gaps closed, as MMSegmentation has it.
TRAIN_IDS = {
    value: _USED.index(value) if value in _USED else IGNORED for value in range(len(_ENTRIES))
}


class COCOStuff(Folder):
    """COCO-Stuff 164k: 118287 train and 5000 val images; 80 things, 91 kinds of stuff.

    Images are in ``root/images/train2017/*.jpg`` and ``root/images/val2017``, label maps in
    ``root/annotations/...``: ``*_labelTrainIds.png`` where the split has such files, as
    MMSegmentation converts them, otherwise the ``*.png`` of the pixel maps as they are published,
    whose 182 numbers become the 171 classes as they are read. Value 255 is ignored.

    To be had from cocodataset.org (``train2017.zip``, ``val2017.zip``) and from
    github.com/nightrome/cocostuff (``stuffthingmaps_trainval2017.zip``, licence CC BY 4.0). The
    data set has no colours of its own: the palette is made up.

    Args:
        root: folder that holds ``images`` and ``annotations``.
        split: "train", "val" or "train+val"; "train2017" and "val2017" are the same.

    Raises:
        UserError: as in :class:`~bpkd.datasets.folder.Folder`.

    >>> len(CLASSES), TRAIN_IDS[10], TRAIN_IDS[11], TRAIN_IDS[12], TRAIN_IDS[181]
    (171, 10, 255, 11, 170)
    """

    splits = ("train", "val", "train2017", "val2017")
    source = (
        "train2017.zip and val2017.zip from cocodataset.org, stuffthingmaps_trainval2017.zip from "
        "github.com/nightrome/cocostuff"
    )
    published: ClassVar = {"train2017": 118287, "val2017": 5000}

    def __init__(self, root: str | Path, split: str) -> None:
        split = "+".join(_FOLDERS.get(part, part) for part in str(split).split("+"))
        labels = Path(root).expanduser() / "annotations"
        converted = any_file(labels, split, "*_labelTrainIds.png")
        super().__init__(
            root,
            split,
            images="images/{split}",
            labels="annotations/{split}",
            classes=CLASSES,
            ignore_index=IGNORED,
            label_map=None if converted else TRAIN_IDS,
            label_suffix="_labelTrainIds" if converted else "",
        )
