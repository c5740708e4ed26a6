"""PASCAL VOC 2012: photographs, 20 kinds of objects and background."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from bpkd.datasets.classes import bit_palette, listed
from bpkd.datasets.folder import Folder

CLASSES = listed("""
background, aeroplane, bicycle, bird, boat, bottle, bus, car, cat, chair, cow, diningtable, dog,
horse, motorbike, person, pottedplant, sheep, sofa, train, tvmonitor
""")


def voc_folder(root: str | Path, year: int) -> Path:
    """The folder ``VOC2012`` (or another year's): ``root`` itself, or a folder below it.

    >>> voc_folder("data/nowhere", 2012).as_posix()  # taken for the folder itself
    'data/nowhere'
    """
    root = Path(root).expanduser()
    for folder in (root / "VOCdevkit" / f"VOC{year}", root / f"VOC{year}"):
        if folder.is_dir():
            return folder
    return root


class VOC(Folder):
    """PASCAL VOC 2012 segmentation: 1464 train, 1449 val, and 10582 images in train_aug.

    Below the folder ``VOC2012``: images in ``JPEGImages/*.jpg``, label maps (palette PNGs, the
    outlines of objects 255) in ``SegmentationClass/*.png``, the splits in
    ``ImageSets/Segmentation/SPLIT.txt``. ``train_aug`` adds the labels of SBD (Hariharan et al.,
    *Semantic Contours from Inverse Detectors*, ICCV 2011): ``SegmentationClassAug/*.png`` with the
    list ``trainaug.txt``, or ``aug.txt`` for what SBD adds to ``train``. Where an image has label
    maps of both, that of VOC counts.

    To be had from host.robots.ox.ac.uk (``VOCtrainval_11-May-2012.tar``) and, for SBD, from
    the Berkeley vision group; free for research. ``bpkd data prepare voc`` makes the PNGs and
    the list of SBD.

    Args:
        root: folder that holds ``VOCdevkit/VOC2012`` or ``VOC2012``, or that folder itself.
        split: "train", "val", "trainval", "train_aug", or a sum of them.

    Raises:
        UserError: as in :class:`~bpkd.datasets.folder.Folder`.

    >>> len(CLASSES), CLASSES[15], bit_palette(21)[15]
    (21, 'person', (192, 128, 128))
    """

    splits = ("train", "val", "trainval", "train_aug", "trainaug", "aug")
    source = (
        "VOCtrainval_11-May-2012.tar from host.robots.ox.ac.uk; for train_aug also SBD, made into "
        "PNGs by bpkd data prepare voc"
    )
    published: ClassVar = {
        "train": 1464,
        "val": 1449,
        "trainval": 2913,
        "trainaug": 10582,
        "aug": 9118,
    }

    def __init__(self, root: str | Path, split: str) -> None:
        folder = voc_folder(root, 2012)
        lists = folder / "ImageSets" / "Segmentation"
        only_added = (lists / "aug.txt").is_file() and not (lists / "trainaug.txt").is_file()
        parts = [
            ("train+aug" if only_added else "trainaug") if part == "train_aug" else part
            for part in str(split).split("+")
        ]
        augmented = not {"train_aug", "trainaug", "aug"}.isdisjoint(str(split).split("+"))
        super().__init__(
            folder,
            "+".join(parts),
            images="JPEGImages",
            labels=["SegmentationClass", "SegmentationClassAug"][: 1 + augmented],
            list="ImageSets/Segmentation/{split}.txt",
            classes=CLASSES,
            palette=bit_palette(len(CLASSES)),
        )
