"""VOC 2012: the labels of SBD as PNGs, and the list of the augmented training set."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from bpkd.datasets.classes import bit_palette
from bpkd.datasets.parallel import Progress
from bpkd.datasets.preparing.common import Report, convert, link, read_list, write_list
from bpkd.datasets.preparing.mat import load_mat
from bpkd.datasets.voc import voc_folder
from bpkd.errors import UserError

_LISTS = Path("ImageSets/Segmentation")
_LAYOUT = (
    "VOCdevkit/VOC2012 (VOCtrainval_11-May-2012.tar, from host.robots.ox.ac.uk) beside "
    "benchmark_RELEASE/dataset with cls/*.mat, train.txt and val.txt (SBD, benchmark.tgz, from "
    "the Berkeley vision group)"
)


def prepare(source: Path, target: Path, *, workers: int | None, progress: Progress) -> Report:
    """Write ``SegmentationClassAug/*.png`` and ``ImageSets/Segmentation/trainaug.txt``.

    The augmented set is the union of VOC's train and SBD's train and val, without VOC's val:
    10582 images. Those of VOC's train keep their own label maps.

    Raises:
        UserError: ``source`` does not hold both VOC 2012 and SBD.
    """
    voc, sbd = voc_folder(source, 2012), _sbd_folder(source)
    where = f"{source} to hold {_LAYOUT}"
    if sbd is None:
        raise UserError(
            f"{source} has no SBD (no folder with cls, train.txt, val.txt): expected {where}"
        )
    train, val = (read_list(voc / _LISTS / f"{part}.txt", where) for part in ("train", "val"))
    added = {name for part in ("train", "val") for name in read_list(sbd / f"{part}.txt", where)}
    added -= {*train, *val}
    folder = voc if target == source else target / "VOC2012"
    if folder != voc:
        for name in ("JPEGImages", "SegmentationClass"):
            link(voc / name, folder / name)
        write_list(train, folder / _LISTS / "train.txt")
        write_list(val, folder / _LISTS / "val.txt")
    jobs = [
        (sbd / "cls" / f"{name}.mat", folder / "SegmentationClassAug" / f"{name}.png")
        for name in sorted(added)
    ]
    report = convert(jobs, sbd_labels, workers=workers, progress=progress)
    names = sorted({*train, *added})
    write_list(names, folder / _LISTS / "trainaug.txt")
    note = "" if len(names) == 10582 else " (published: 10582)"
    report.lines.append(f"train_aug: {len(names)} images{note}")
    report.lines.append(f"set data.root={target} data.train=train_aug")
    return report


def _sbd_folder(source: Path) -> Path | None:
    """The folder that holds ``cls``: where the archive, or a common layout, has it."""
    for place in ("", "dataset", "benchmark_RELEASE/dataset", "VOCaug/dataset", "SBD", "sbd"):
        for folder in (source / place, source / "VOCdevkit" / place):
            if (folder / "cls").is_dir() and (folder / "train.txt").is_file():
                return folder
    return None


def sbd_labels(file: Path) -> Image.Image:
    """The label map in a file of SBD, with VOC's colours as palette."""
    labels = load_mat(file)["GTcls"]["Segmentation"][0, 0]
    image = Image.fromarray(np.asarray(labels).astype(np.uint8))
    image.putpalette([channel for colour in bit_palette(256) for channel in colour])
    return image
