"""VOC 2012: the labels of SBD as PNGs, and the list of the augmented training set."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from bpkd.datasets.classes import bit_palette
from bpkd.datasets.preparing.common import (
    Report,
    Request,
    convert,
    link,
    read_list,
    write_list,
)
from bpkd.datasets.preparing.finding import nearest, own, packed, voc_in, voc_root
from bpkd.datasets.preparing.inspecting import inspected
from bpkd.datasets.preparing.mat import load_mat, needs_scipy
from bpkd.datasets.voc import VOC
from bpkd.errors import UserError

_LISTS = Path("ImageSets/Segmentation")
_PARTS = ("VOCdevkit", "VOC2012", "benchmark_RELEASE")
_LAYOUT = (
    "VOCdevkit/VOC2012 (VOCtrainval_11-May-2012.tar, from host.robots.ox.ac.uk) beside "
    "benchmark_RELEASE/dataset with cls/*.mat, train.txt and val.txt (SBD, benchmark.tgz, from "
    "the Berkeley vision group)"
)


def prepare(request: Request) -> Report:
    """Write ``SegmentationClassAug/*.png`` and ``ImageSets/Segmentation/trainaug.txt``.

    The augmented set is the union of VOC's train and SBD's train and val, without VOC's val:
    10582 images. Those of VOC's train keep their own label maps.

    Raises:
        UserError: VOC 2012 and SBD are not both near the source, nor is what is made of them.
    """
    source = request.source
    if (found := nearest(source, _PARTS, _found)) is None:
        raise _refusal(source)
    voc, sbd = found
    root = voc_root(source, voc, 2012)
    if sbd is None:
        report = inspected(VOC, root, {"train": 1464, "train_aug": 10582, "val": 1449}, request)
        report.lines[0] += " data.train=train_aug"
        return report
    report = _augmented(voc, sbd, request)
    report.ready(request.out or root, " data.train=train_aug")
    return report


def _found(places: Sequence[Path]) -> tuple[Path, Path | None] | None:
    """The folders of VOC and of SBD; without the latter if its label maps are made already."""
    voc, sbd = voc_in(places, 2012), _sbd_folder(places)
    made = voc is not None and (voc / "SegmentationClassAug").is_dir()
    return (voc, sbd) if voc is not None and (sbd or made) else None


def _refusal(source: Path) -> UserError:
    places = own(source, _PARTS)
    voc, sbd = voc_in(places, 2012), _sbd_folder(places)
    archives = {} if voc else {"VOCtrainval*2012*.tar*": ""}
    archives |= {} if sbd else {"benchmark*.tgz": "", "benchmark*.tar*": ""}
    lacks = "VOC2012/JPEGImages"
    if voc is not None:
        lacks = "SBD (no folder with cls, train.txt, val.txt; VOC without it is read as it is)"
    return UserError(
        f"{source} has no {lacks}: expected it to hold {_LAYOUT}" + packed(source, archives)
    )


def _augmented(voc: Path, sbd: Path, request: Request) -> Report:
    """Convert the label maps that SBD adds, and write the list."""
    where = f"{request.source} to hold {_LAYOUT}"
    train, val = (read_list(voc / _LISTS / f"{part}.txt", where) for part in ("train", "val"))
    added = {name for part in ("train", "val") for name in read_list(sbd / f"{part}.txt", where)}
    added -= {*train, *val}
    folder = voc if request.out is None else request.out / "VOC2012"
    files = {name: folder / "SegmentationClassAug" / f"{name}.png" for name in sorted(added)}
    needs_scipy(sbd)
    report = convert(
        [(sbd / "cls" / f"{name}.mat", file) for name, file in files.items()], sbd_labels, request
    )
    if folder != voc:
        for name in ("JPEGImages", "SegmentationClass"):
            link(voc / name, folder / name)
        write_list(train, folder / _LISTS / "train.txt")
        write_list(val, folder / _LISTS / "val.txt")
    names = sorted({*train, *(name for name in added if files[name] not in report.failed)})
    write_list(names, folder / _LISTS / "trainaug.txt")
    note = "" if len(names) == 10582 else " (published: 10582)"
    report.lines.insert(0, f"taken: {voc}, {sbd}")
    report.lines.append(f"train_aug: {len(names)} images{note}")
    return report


def _sbd_folder(places: Sequence[Path]) -> Path | None:
    """The folder that holds ``cls``: where the archive, or a common layout, has it."""
    inner = ("", "dataset", "benchmark_RELEASE/dataset", "VOCaug/dataset", "SBD", "sbd")
    near = (place / above for place in places for above in ("", "VOCdevkit"))
    for folder in (place / name for place in near for name in inner):
        if (folder / "cls").is_dir() and (folder / "train.txt").is_file():
            return folder
    return None


def sbd_labels(file: Path) -> Image.Image:
    """The label map in a file of SBD, with VOC's colours as palette."""
    labels = load_mat(file)["GTcls"]["Segmentation"][0, 0]
    image = Image.fromarray(np.asarray(labels).astype(np.uint8))
    image.putpalette([channel for colour in bit_palette(256) for channel in colour])
    return image
