"""Which photos are to be segmented, and what the result of each is called."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from bpkd.datasets.image_files import image_files
from bpkd.errors import UserError

#: A photo, and the name of what is written for it, relative to the folder of the results.
Job = tuple[Path, str]


def jobs(images: Sequence[str | Path], out: Path) -> list[Job]:
    """Each photo with the name of its result; no two alike.

    ``a.jpg`` becomes ``a.png``; beside another ``a`` it becomes ``a.jpg.png``. A file that is
    given twice is segmented once.

    Args:
        images: photos, and folders that are gone through for them.
        out: where the results go; what lies in it is no photo, even inside such a folder.

    Raises:
        UserError: there is no such photo, a folder has none, two would have one name, or the
            results would take the place of label maps that are no results.
    """
    found: dict[Path, Path] = {}  # a photo -> its place below what was given
    for given in map(Path, images):
        if given.is_dir():
            files = [file for file in image_files(given) if not _is_result(file, given, out)]
            if not files:
                raise UserError(f"{given}: no image in this folder")
            for file in files:
                found.setdefault(file.absolute(), file.relative_to(given))
        elif given.is_file():
            found.setdefault(given.absolute(), Path(given.name))
        else:
            raise UserError(f"{given}: no such image or folder")
    named = [(file, str(name)) for file, name in zip(found, _names([*found.values()]), strict=True)]
    _no_two_alike(named)
    _nothing_else_there(named, out)
    return named


def _is_result(file: Path, given: Path, out: Path) -> bool:
    """Whether a file in a folder of photos lies where results go."""
    given, out, file = given.resolve(), out.resolve(), file.resolve()
    inside = given in out.parents
    places = [out] if inside else [out / "labels", out / "overlays"]
    return any(file.is_relative_to(it) and not given.is_relative_to(it) for it in places)


def _names(places: list[Path]) -> Iterator[Path]:
    """With another ending where that is enough, otherwise with one ending more.

    >>> [str(name) for name in _names([Path("a.jpg"), Path("b.jpg"), Path("b.png")])]
    ['a.png', 'b.jpg.png', 'b.png.png']
    """
    short = Counter(place.with_suffix(".png") for place in places)
    for place in places:
        alone = short[place.with_suffix(".png")] == 1
        yield place.with_suffix(".png") if alone else place.with_name(f"{place.name}.png")


def _no_two_alike(named: Sequence[Job]) -> None:
    names: dict[str, Path] = {}
    for file, name in named:
        if name in names:
            raise UserError(
                f"{names[name]} and {file} would both be written to {name}; "
                "segment them into different folders"
            )
        names[name] = file


def _nothing_else_there(named: Sequence[Job], out: Path) -> None:
    """Refuse to write over label maps of a data set: beside a result there is its overlay."""
    for _, name in named:
        if (out / "labels" / name).exists() and not (out / "overlays" / name).exists():
            raise UserError(
                f"{out / 'labels' / name} is there and no result of bpkd predict; choose another "
                "folder by --out"
            )
