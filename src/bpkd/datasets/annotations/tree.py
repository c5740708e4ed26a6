"""The files below a folder, listed once, and the photo that an annotation means by a name."""

from __future__ import annotations

import json
import unicodedata
from collections import defaultdict
from functools import cached_property
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from bpkd.datasets.annotations.common import split_of
from bpkd.datasets.image_files import files_below, is_image
from bpkd.errors import UserError
from bpkd.support.messages import one_line


class Tree:
    """A folder with all that is below it; hidden files and folders are passed over.

    Args:
        root: the folder.

    Raises:
        UserError: it is no folder.
    """

    def __init__(self, root: str | Path) -> None:
        self.root = Path(root).expanduser()
        if not self.root.is_dir():
            what = "is a file" if self.root.is_file() else "does not exist"
            raise UserError(f"{self.root} {what}: expected a folder of images and annotations")
        self.files = files_below(self.root)
        self._splits: dict[Path, str | None] = {}

    @cached_property
    def images(self) -> list[Path]:
        """The files that Pillow reads, by their endings."""
        return [file for file in self.files if is_image(file)]

    def ending(self, *ends: str) -> list[Path]:
        """The files whose names end so, in lower case."""
        return [file for file in self.files if file.name.lower().endswith(ends)]

    @cached_property
    def _by_name(self) -> dict[str, list[Path]]:
        found = defaultdict(list)
        for image in self.images:
            found[plain(image.name)].append(image)
        return found

    def image(self, name: str, annotation: Path) -> Path:
        """The photo that an annotation names.

        Looked for beside the annotation, below the root, and by the file's name alone anywhere
        below the root: where there are several, the one whose folders match best.

        Args:
            name: a path or name, of this or another machine.
            annotation: the file that names it.

        Raises:
            UserError: there is no such photo, or several that match as well.
        """
        wanted = _parts(name)
        if not wanted:
            raise UserError(f"{annotation} names no image")
        for place in (annotation.parent, self.root):
            file = place.joinpath(*wanted)
            if ".." not in wanted and file.is_file():
                return file
        found = self._by_name.get(plain(wanted[-1]), [])
        scores = {file: _alike(file, wanted, annotation) for file in found}
        best = [file for file in found if scores[file] == max(scores.values())]
        if len(best) == 1:
            return best[0]
        if not best:
            raise UserError(
                f"{annotation} names the image {name!r}, which is not below {self.root}: "
                "put the images beside the annotations"
            )
        raise UserError(
            f"{annotation} names the image {name!r}, and there are {len(best)}, {best[0]} and "
            f"{best[1]}: give each a name of its own"
        )

    def beside(self, annotation: Path) -> Path | None:
        """The photo of an annotation's own name, without its ending; None where no one is sure."""
        stems = [annotation.stem, *([annotation.name] if "." in annotation.stem else [])]
        for stem in (plain(stem) for stem in stems):
            found = self._by_stem.get(stem, [])
            here = [file for file in found if file.parent == annotation.parent]
            if len(here or found) == 1:
                return (here or found)[0]
        return None

    def stem(self, stem: str) -> list[Path]:
        """The images of a name without its ending."""
        return self._by_stem.get(plain(stem), [])

    @cached_property
    def _by_stem(self) -> dict[str, list[Path]]:
        found = defaultdict(list)
        for image in self.images:
            found[plain(image.stem)].append(image)
        return found

    def split(self, *files: Path, named: Path | None = None) -> str | None:
        """The split that files are in by their folders.

        Args:
            files: the first that is in a split's folder counts.
            named: a file of many annotations, whose own name may speak of a split as well.
        """
        if named is not None and (split := split_of(named.stem)):
            return split
        for file in [*([named] if named else []), *files]:
            if split := self._split_of_folder(file.parent):
                return split
        return None

    def _split_of_folder(self, folder: Path) -> str | None:
        if folder not in self._splits:
            below = folder.relative_to(self.root).parts
            self._splits[folder] = split_of(*reversed(below))
        return self._splits[folder]

    @cached_property
    def collections(self) -> list[Path]:
        """The JSON files that may speak of many images: those of LabelMe, one an image, aside."""
        return [file for file in self.ending(".json") if not holds(file, '"shapes"', first=2**12)]

    def relative(self, file: Path) -> str:
        """A file's path below the root, with slashes."""
        return file.relative_to(self.root).as_posix()


def read_json(file: Path) -> Any:
    """The content of a JSON file.

    Raises:
        UserError: it cannot be read.
    """
    try:
        return json.loads(file.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"{file} is no readable JSON ({one_line(error)}): export it anew") from None


def holds(file: Path, *words: str, first: int | None = None) -> bool:
    """Whether all of the words occur in a file, or in its first bytes."""
    try:
        with file.open("rb") as stream:
            content = stream.read() if first is None else stream.read(first)
    except OSError:
        return False
    return all(word.encode() in content for word in words)


def plain(name: str) -> str:
    """A name as it is compared: macOS takes letters with accents apart, other systems do not."""
    return unicodedata.normalize("NFC", name)


def _parts(name: str) -> tuple[str, ...]:
    """The parts of a path as any system writes it, without what only its own machine knows."""
    path = PureWindowsPath(name) if "\\" in name else PurePosixPath(name)
    return tuple(part for part in path.parts if part not in (path.anchor, "."))


def _alike(file: Path, wanted: tuple[str, ...], annotation: Path) -> tuple[int, int]:
    """How many of the last parts of a path agree; then how near the annotation the file is."""
    same = 0
    for one, other in zip(reversed(file.parts), reversed(wanted), strict=False):
        if plain(one) != plain(other):
            break
        same += 1
    shared = sum(a == b for a, b in zip(file.parts, annotation.parts, strict=False))
    return same, shared
