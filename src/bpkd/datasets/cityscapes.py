"""Cityscapes: street scenes of 50 cities, 1024x2048 pixels, 19 classes."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import ClassVar

from bpkd.datasets.folder import Folder, any_file
from bpkd.errors import UserError

CLASSES = {
    "road": (128, 64, 128),
    "sidewalk": (244, 35, 232),
    "building": (70, 70, 70),
    "wall": (102, 102, 156),
    "fence": (190, 153, 153),
    "pole": (153, 153, 153),
    "traffic light": (250, 170, 30),
    "traffic sign": (220, 220, 0),
    "vegetation": (107, 142, 35),
    "terrain": (152, 251, 152),
    "sky": (70, 130, 180),
    "person": (220, 20, 60),
    "rider": (255, 0, 0),
    "car": (0, 0, 142),
    "truck": (0, 0, 70),
    "bus": (0, 60, 100),
    "train": (0, 80, 100),
    "motorcycle": (0, 0, 230),
    "bicycle": (119, 11, 32),
}
IGNORED = 255
_EVALUATED = (7, 8, 11, 12, 13, 17, *range(19, 29), 31, 32, 33)
# id of the label files (-1, the license plate, to 33) -> class, as cityscapesScripts has it.
TRAIN_IDS = {id_: _EVALUATED.index(id_) if id_ in _EVALUATED else IGNORED for id_ in range(-1, 34)}


class Cityscapes(Folder):
    """Cityscapes in its official layout: 2975 train, 500 val and 1525 test images.

    Images are in ``root/leftImg8bit/SPLIT/CITY/*_leftImg8bit.png``. Label maps are in
    ``root/gtFine/SPLIT/CITY/``: ``*_gtFine_labelTrainIds.png`` where the split has such files,
    otherwise ``*_gtFine_labelIds.png``, whose 34 ids become the 19 classes of the benchmark as
    they are read. The files beside them (``_color``, ``_instanceIds``, ``_polygons``) are passed
    over. The labels of ``test`` are not public: its files ignore every pixel.

    To be had from cityscapes-dataset.com, for non-commercial use, after registration:
    ``leftImg8bit_trainvaltest.zip`` and ``gtFine_trainvaltest.zip``, unpacked into one folder.

    Args:
        root: folder that holds ``leftImg8bit`` and ``gtFine``.
        split: "train", "val", "test", or a sum such as "train+val"; with ``coarse`` also
            "train_extra", 19998 images.
        coarse: take the coarse labels of ``gtCoarse`` (``*_gtCoarse_labelIds.png``).

    Raises:
        UserError: as in :class:`~bpkd.datasets.folder.Folder`.

    >>> len(CLASSES), TRAIN_IDS[7], TRAIN_IDS[33], TRAIN_IDS[-1]
    (19, 0, 18, 255)
    """

    splits = ("train", "val", "test", "train_extra")
    source = (
        "from cityscapes-dataset.com, after registration: leftImg8bit_trainvaltest.zip and "
        "gtFine_trainvaltest.zip, unpacked into one folder"
    )
    image_ending = ".png"
    published: ClassVar = {"train": 2975, "val": 500, "test": 1525, "train_extra": 19998}

    def __init__(self, root: str | Path, split: str, *, coarse: bool = False) -> None:
        kind = "gtCoarse" if coarse else "gtFine"
        labels = Path(root).expanduser() / kind
        has = partial(any_file, labels, str(split))
        converted = has("*/*_labelTrainIds.png")
        if not converted and not has("*/*_labelIds.png") and has("*/*_polygons.json"):
            raise UserError(
                f"{labels} has polygons of {split} and no label maps: run bpkd data prepare "
                f"cityscapes {root}"
            )
        super().__init__(
            root,
            split,
            images="leftImg8bit/{split}",
            labels=kind + "/{split}",
            classes=list(CLASSES),
            palette=list(CLASSES.values()),
            ignore_index=IGNORED,
            label_map=None if converted else {k: v for k, v in TRAIN_IDS.items() if k >= 0},
            image_suffix="_leftImg8bit",
            label_suffix=f"_{kind}_{'labelTrainIds' if converted else 'labelIds'}",
        )
