"""COCO-Stuff is read as it is published, once its archives lie in the layout: by links."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bpkd.datasets.coco_stuff import COCOStuff
from bpkd.datasets.preparing.common import Report, Request, link
from bpkd.datasets.preparing.finding import nearest, packed
from bpkd.datasets.preparing.inspecting import inspected
from bpkd.errors import UserError

# Folder of the layout -> ending of its files, its archive.
_PARTS = {
    "images/train2017": ("jpg", "train2017.zip"),
    "images/val2017": ("jpg", "val2017.zip"),
    "annotations/train2017": ("png", "stuffthingmaps_trainval2017.zip"),
    "annotations/val2017": ("png", "stuffthingmaps_trainval2017.zip"),
}
_INSIDE = ("images", "annotations", "stuffthingmaps", "train2017", "val2017")
_SIZES = {"train": 118287, "val": 5000}


def prepare(request: Request) -> Report:
    """Link images and pixel maps into the layout, wherever the archives were unpacked.

    Nothing is moved. A folder that holds one kind alone becomes one link; of a folder that holds
    images and pixel maps, each file becomes one.

    Raises:
        UserError: there are not all four folders near the source.
    """
    source = request.source
    if found := nearest(source, _INSIDE, _root):
        return _linked(found, request)
    missing = [part for part in _PARTS if _folder(source, part) is None]
    archives = {_PARTS[part][1]: part.partition("/")[0] for part in missing}
    raise UserError(
        f"{source} is not COCO-Stuff, it lacks {', '.join(missing)}: unpack train2017.zip and "
        f"val2017.zip (cocodataset.org) into {source}/images and stuffthingmaps_trainval2017.zip "
        f"(github.com/nightrome/cocostuff) into {source}/annotations" + packed(source, archives)
    )


def _root(places: Sequence[Path]) -> Path | None:
    return next((root for root in places if all(_folder(root, part) for part in _PARTS)), None)


def _folder(root: Path, part: str) -> Path | None:
    """The folder whose files belong into a folder of the layout: that one, or one near it."""
    ending, archive = _PARTS[part]
    kind, split = part.split("/")
    near = (kind, "", "stuffthingmaps", Path(archive).stem, "images", "annotations")
    folders = (root / name / split for name in near)
    return next((folder for folder in folders if _holds(folder, ending)), None)


def _holds(folder: Path, ending: str) -> bool:
    return any(folder.glob(f"*.{ending}"))


def _linked(root: Path, request: Request) -> Report:
    """Link what does not lie in its place yet, and count the pairs."""
    folders = {part: folder for part in _PARTS if (folder := _folder(root, part))}
    mixed = [folder for folder in folders.values() if _mixed(folder)]
    if not mixed and all(folder == root / part for part, folder in folders.items()):
        return inspected(COCOStuff, root, _SIZES, request)
    if request.overwrite:
        raise UserError("--overwrite has no use here: links are made, no label maps; leave it out")
    target = request.out or root
    if in_place := [folder for folder in mixed if folder in [target / part for part in _PARTS]]:
        raise UserError(
            f"{in_place[0]} holds images and label maps, which is not the layout: give --out "
            "FOLDER, and links are made there"
        )
    lines = [
        f"{target / part}: links to {folder}, nothing was moved"
        for part, folder in folders.items()
        if _link_part(target / part, folder, _PARTS[part][0])
    ]
    report = inspected(COCOStuff, target, _SIZES, Request(target))
    report.lines[1:1] = lines
    return report


def _mixed(folder: Path) -> bool:
    return _holds(folder, "jpg") and _holds(folder, "png")


def _link_part(place: Path, folder: Path, ending: str) -> bool:
    """Whether links were made: to the folder, or to its files of this kind."""
    if _holds(place, ending):
        return False
    if place.exists():
        raise UserError(f"{place} is in the way: there are no .{ending} files in it; take it away")
    if not _mixed(folder):
        link(folder, place)
        return True
    # Under another name until all are there: a run that is stopped leaves no half of a split.
    unfinished = place.with_name(f".{place.name}.part")
    for file in sorted(folder.glob(f"*.{ending}")):
        link(file, unfinished / file.name)
    unfinished.rename(place)
    return True
