"""Where the parts of a published data set lie: somewhere near a folder, or still in archives."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from bpkd.datasets.voc import voc_folder
from bpkd.errors import UserError

Found = TypeVar("Found")


def nearest(
    source: Path, parts: Sequence[str], find: Callable[[Sequence[Path]], Found | None]
) -> Found | None:
    """What is found in a folder and above it, or else in one of the folders in it.

    Args:
        source: the folder.
        parts: see :func:`own`.
        find: looks for the parts of one copy of a data set in some folders.

    Raises:
        UserError: several of the folders in ``source`` hold it.
    """
    if (found := find(own(source, parts))) is not None:
        return found
    inside = {folder: found for folder in folders_in(source) if (found := find([folder]))}
    if len(inside) > 1:
        one, other, *_ = inside
        raise UserError(f"{source} holds several copies, e.g. {one} and {other}: name one of them")
    return next(iter(inside.values()), None)


def own(folder: Path, parts: Sequence[str]) -> list[Path]:
    """The folder, and those above it of which it is a part; none if it is no folder.

    A folder above counts only where the name says so: beside an empty folder may lie anything.

    Args:
        folder: begins the list.
        parts: names of folders that are parts of what they lie in.

    >>> import tempfile
    >>> top = Path(tempfile.mkdtemp())
    >>> (top / "pc/VOCdevkit/VOC2010").mkdir(parents=True)
    >>> places = own(top / "pc/VOCdevkit/VOC2010", ["VOCdevkit", "VOC2010"])
    >>> [place.relative_to(top).as_posix() for place in places]
    ['pc/VOCdevkit/VOC2010', 'pc/VOCdevkit', 'pc']
    """
    places = [folder] if folder.is_dir() else []
    while places and places[-1].name in parts:
        places.append(places[-1].parent)
    return places


def folders_in(folder: Path) -> list[Path]:
    """The folders in a folder, sorted, without hidden ones."""
    if not folder.is_dir():
        return []
    with os.scandir(folder) as entries:
        return sorted(
            folder / entry.name
            for entry in entries
            if not entry.name.startswith(".") and entry.is_dir()
        )


def voc_in(places: Sequence[Path], year: int) -> Path | None:
    """The folder ``VOC2012`` (or another year's) with its images: the first, or below one."""
    inner = (f"VOCdevkit/VOC{year}", f"VOC{year}")
    found = [*places[:1], *(place / name for place in places for name in inner)]
    return next((place for place in found if (place / "JPEGImages").is_dir()), None)


def voc_root(source: Path, voc: Path, year: int) -> Path:
    """What ``data.root`` has to be for ``voc``: ``source`` if that leads there."""
    return source if voc_folder(source, year) == voc else voc


def packed(source: Path, archives: Mapping[str, str]) -> str:
    """The end of a refusal: which archives lie there that were not unpacked, and where they go.

    Args:
        source: is looked through, and the folders in it.
        archives: pattern of a file's name -> folder, relative to ``source``, that it goes into.

    >>> import tempfile
    >>> source = Path(tempfile.mkdtemp())
    >>> (source / "train2017.zip").touch()
    >>> packed(source, {"train*.zip": "images"}).replace(str(source), "SRC")
    '; found train2017.zip: unpack it into SRC/images'
    >>> packed(source, {"val*.zip": "images"})
    ''
    """
    found: dict[Path, list[str]] = {}
    for pattern, into in archives.items():
        for folder in (source, *folders_in(source)):
            for file in sorted(folder.glob(pattern)):
                names = found.setdefault(source / into, [])
                names.append(file.relative_to(source).as_posix())
    return "".join(
        f"; found {', '.join(names)}: unpack {'it' if len(names) == 1 else 'them'} into {into}"
        for into, names in found.items()
    )
