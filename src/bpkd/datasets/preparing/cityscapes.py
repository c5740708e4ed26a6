"""Cityscapes: label maps of the 19 classes, from those of the 34 ids or from the polygons."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from bpkd.datasets.cityscapes import IGNORED, TRAIN_IDS, Cityscapes
from bpkd.datasets.preparing.common import Job, Report, Request, convert, link
from bpkd.datasets.preparing.finding import nearest, packed
from bpkd.datasets.preparing.inspecting import inspected
from bpkd.errors import UserError

# In the order of their ids, 0 to 33, in the official table (cityscapesScripts, labels.py).
_NAMES = """
unlabeled, ego vehicle, rectification border, out of roi, static, dynamic, ground, road, sidewalk,
parking, rail track, building, wall, fence, guard rail, bridge, tunnel, pole, polegroup,
traffic light, traffic sign, vegetation, terrain, sky, person, rider, car, truck, bus, caravan,
trailer, train, motorcycle, bicycle
"""
IDS = {name.strip(): id_ for id_, name in enumerate(_NAMES.split(","))} | {"license plate": -1}
_PARTS = ("leftImg8bit", "gtFine", "gtCoarse")
_SUFFIXES = ("labelIds.png", "polygons.json")


def prepare(request: Request) -> Report:
    """Write ``*_labelTrainIds.png`` beside, or under ``out`` as, the official files.

    Takes ``*_labelIds.png`` where there are such, otherwise draws ``*_polygons.json``; of
    ``gtFine``, and of ``gtCoarse`` if it is there.

    Raises:
        UserError: there is neither near the source, nor label maps that are made already.
    """
    source = request.source
    root = nearest(source, _PARTS, _root)
    if root is None:
        raise UserError(
            f"{source} is not Cityscapes: expected {source}/gtFine/train/CITY/*_gtFine_labelIds.png"
            f" (or _polygons.json) beside {source}/leftImg8bit/train/CITY/*_leftImg8bit.png, "
            f"{Cityscapes.source}" + packed(source, {"leftImg8bit_*.zip": "", "gt*.zip": ""})
        )
    target = request.out or root
    if not (jobs := _jobs(root, target)):
        return inspected(Cityscapes, root, {"train": 2975, "val": 500}, request)
    report = convert(jobs, train_ids, request)
    if root != source:
        report.lines.insert(0, f"taken: {root}")
    _link_images(root, target, report)
    if not report.problems:
        report.ready(target)
    return report


def _root(places: Sequence[Path]) -> Path | None:
    """The folder with ``gtFine`` or ``gtCoarse``; the archive's own where it has made one."""
    found = (root for place in places for root in (place, place / "gtFine_trainvaltest"))
    ends = (*_SUFFIXES, "labelTrainIds.png")
    return next((r for r in found if any(any(r.glob(f"gt*/*/*/*_{end}")) for end in ends)), None)


def _link_images(root: Path, target: Path, report: Report) -> None:
    """Bring ``leftImg8bit`` into its place, or say what has to be fetched."""
    wanted, archive = target / "leftImg8bit", "leftImg8bit_trainvaltest"
    near = (wanted, root / "leftImg8bit", root.parent / archive / "leftImg8bit")
    found = next((folder for folder in near if folder.is_dir()), None)
    if found is None:
        fetch = f"; fetch {archive}.zip from cityscapes-dataset.com and unpack it into {root}"
        there = packed(root, {"leftImg8bit_*.zip": ""})
        report.problems.append(f"{root / 'leftImg8bit'} is missing{there or fetch}")
    elif found != wanted:
        link(found, wanted)
        report.lines.append(f"{wanted} is a link to {found}")


def _jobs(root: Path, target: Path) -> list[Job]:
    """Each annotation with the file to be written; label maps rather than polygons."""
    jobs: dict[Path, Path] = {}
    for kind in ("gtFine", "gtCoarse"):
        for suffix in _SUFFIXES:
            for file in sorted((root / kind).glob(f"*/*/*_{kind}_{suffix}")):
                name = file.name.removesuffix(suffix) + "labelTrainIds.png"
                jobs.setdefault(target / file.relative_to(root).with_name(name), file)
    return [(file, written) for written, file in jobs.items()]


def train_ids(file: Path) -> Image.Image:
    """The label map of 19 classes that an annotation file stands for.

    Raises:
        UserError: a label that the official table does not have.
    """
    if file.suffix == ".json":
        ids = np.asarray(draw(file))
    else:
        with Image.open(file) as image:
            ids = np.asarray(image)
    table = np.array([TRAIN_IDS.get(id_, IGNORED) for id_ in range(256)], dtype=np.uint8)
    if (unknown := ids[(ids > 33) & (ids != IGNORED)]).size:
        raise UserError(f"{file} holds the id {unknown[0]}: expected 0 to 33")
    return Image.fromarray(table[ids])


def draw(file: Path) -> Image.Image:
    """The map of ids that a file of polygons stands for, drawn as cityscapesScripts draws it.

    In the file's order, later over earlier, on "unlabeled". Deleted objects and those without an
    id (license plates) are left out; a group, such as "cargroup", counts as one of its kind.

    Raises:
        UserError: a label that the official table does not have.
    """
    content = json.loads(file.read_text(encoding="utf-8"))
    size = (int(content["imgWidth"]), int(content["imgHeight"]))
    ids = Image.new("L", size, IDS["unlabeled"])
    pen = ImageDraw.Draw(ids)
    for each in content["objects"]:
        label = each["label"]
        name = label if label in IDS else label.removesuffix("group")
        if name not in IDS:
            raise UserError(f"{file} has an object {label!r}, which Cityscapes does not know")
        if not each.get("deleted") and IDS[name] >= 0:
            pen.polygon([tuple(point) for point in each["polygon"]], fill=IDS[name])
    return ids
