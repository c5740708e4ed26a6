"""Which image files there are in a folder."""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from PIL import Image

from bpkd.errors import UserError

#: How folders begin in which nobody keeps images.
_PASSED_OVER = (".", "__MACOSX", "lost+found")
# What Pillow knows by its ending and cannot show, or shows by starting another program.
_NO_PICTURES = {"BUFR", "EMF", "EPS", "GRIB", "HDF5", "MPEG", "WMF"}


def files_below(folder: Path) -> list[Path]:
    """The files in a folder and the folders below it, sorted.

    Hidden files, and hidden folders such as ``.ipynb_checkpoints``, are passed over, and so is
    what macOS packs beside them. Links are followed, but for those that lead back up.

    Raises:
        UserError: a folder cannot be read: what is in it would be missing without a word.
    """
    found: list[Path] = []
    for where, folders, names in os.walk(folder, followlinks=True, onerror=_unreadable):
        # os.walk goes by what is left in the list.
        folders[:] = [
            name
            for name in folders
            if not name.startswith(_PASSED_OVER) and not _leads_up(Path(where, name))
        ]
        found += (Path(where, name) for name in names if not name.startswith("."))
    return sorted(found)


def _unreadable(error: OSError) -> None:
    raise UserError(f"{error.filename}: cannot be read: {error.strerror}") from error


def _leads_up(folder: Path) -> bool:
    """Whether a folder is a link to one that it lies in."""
    return folder.is_symlink() and folder.parent.resolve().is_relative_to(folder.resolve())


@cache
def _endings() -> frozenset[str]:
    endings = Image.registered_extensions()  # fills Image.OPEN, too
    readable = Image.OPEN.keys() - _NO_PICTURES
    return frozenset(end for end, name in endings.items() if name in readable)


def is_image(file: Path) -> bool:
    """Whether Pillow reads files of that ending."""
    return file.suffix.lower() in _endings()


def image_files(folder: Path) -> Iterator[Path]:
    """The images in a folder and the folders below it, sorted; hidden ones are passed over."""
    return filter(is_image, files_below(folder))
