"""Which image belongs to which label map: by folders, by suffixes, by lists of a split."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from bpkd.datasets.image_files import image_files
from bpkd.datasets.lists import is_pair, listed_images, listed_pairs, read_lines
from bpkd.datasets.unpaired import Pair, collected, no_label_map, no_pair
from bpkd.errors import UserError

_JPEG = (".jpg", ".jpeg", ".jpe", ".jfif")


@dataclass(frozen=True)
class Layout:
    """Where a data set's files are. In every text ``{split}`` stands for the split's name.

    Args:
        root: folder that the others are relative to.
        images: folder of the images.
        labels: folders of the label maps; where an image has one in several, the first counts.
        listing: text file of a split; None takes every image there is.
        image_suffix: end of the images' stems that the labels' stems lack.
        label_suffix: end of the labels' stems that the images' stems lack.
        source: where the data are to be had, for messages.
        image_ending: of the images' files, for messages; any that Pillow reads will do.
    """

    root: Path
    images: str
    labels: tuple[str, ...]
    listing: str | None = None
    image_suffix: str = ""
    label_suffix: str = ""
    source: str = ""
    image_ending: str = ".jpg"

    def __str__(self) -> str:
        """The layout in one phrase, for messages."""
        images = f"{self.root}/{self.images}/NAME{self.image_suffix}{self.image_ending}"
        labels = f"{self.root}/{self.labels[0]}/NAME{self.label_suffix}.png"
        listed = f", each NAME a line of {self.root}/{self.listing}" if self.listing else ""
        return f"{images} beside {labels}{listed}" + (f" ({self.source})" if self.source else "")

    def pairs(self, split: str) -> list[Pair]:
        """Image and label map of each sample of a split, or of several joined by ``+``.

        Raises:
            UserError: a folder, a list, an image that it names, or a label map is missing.
        """
        # A layout without {split} names the same files for each part: read them once.
        parts = list(dict.fromkeys(self._of(name) for name in split.split("+")))
        if not self.root.is_dir():
            raise UserError(
                f"root {self.root} is no folder: set it to the folder of the data set, with "
                f"{parts[0]}{parts[0]._elsewhere()}"
            )
        pairs = list(dict.fromkeys(pair for part in parts for pair in part._pairs()))
        unpaired = collected()
        if not pairs and not (unpaired and unpaired.any()):
            raise UserError(f"split {split!r} has no images in {self.root}: expected {parts[0]}")
        return pairs

    def _of(self, split: str) -> Layout:
        return replace(
            self,
            images=self.images.replace("{split}", split),
            labels=tuple(labels.replace("{split}", split) for labels in self.labels),
            listing=self.listing and self.listing.replace("{split}", split),
        )

    def _pairs(self) -> list[Pair]:
        """The pairs of a layout in which no ``{split}`` is left."""
        unpaired, lines = collected(), self._lines()
        listing = self.root / str(self.listing)
        if lines and is_pair(lines[0]):
            return listed_pairs(lines, listing, self.root)
        images = self._images()
        if lines is not None:
            lines = [line.removesuffix(self.image_suffix) for line in lines]
            images = listed_images(lines, listing, images, self.root / self.images)
        maps: dict[str, Path] = {}
        for folder in reversed(self.labels):
            maps |= self._maps(folder)
        wanted = self.root / self.labels[0]
        no_label_map(
            [
                (image, wanted / f"{stem}{self.label_suffix}.png")
                for stem, image in images.items()
                if stem not in maps
            ],
            len(images),
        )
        if unpaired and lines is None:
            end = f"{self.image_suffix}{self.image_ending}"
            unpaired.labels += [
                (file, self.root / self.images / f"{stem}{end}")
                for stem, file in maps.items()
                if stem not in images
            ]
        return [(image, maps[stem]) for stem, image in images.items() if stem in maps]

    def _lines(self) -> list[str] | None:
        """The lines of the split's list, if the layout has lists."""
        if self.listing is None:
            return None
        file = self.root / self.listing
        try:
            return read_lines(file)
        except (OSError, UnicodeDecodeError) as error:
            why = getattr(error, "strerror", None) or "not text"
            raise self._absent(f"{file} is no list of a split ({why})") from None

    def _images(self) -> dict[str, Path]:
        """The images by their stems, without the label maps that lie in the same folder."""
        if self.root / self.images not in [self.root / labels for labels in self.labels]:
            return self._files(self.images, self.image_suffix, but=self.labels)
        if self.image_suffix or not self.label_suffix:
            jpeg = None if self.image_suffix != self.label_suffix else True
            return self._files(self.images, self.image_suffix, jpeg=jpeg)
        return self._files(self.images, "", no_end=self.label_suffix)

    def _maps(self, folder: str) -> dict[str, Path]:
        """The label maps of a folder by their stems, without the images in it."""
        one = (
            self.root / folder == self.root / self.images and self.image_suffix == self.label_suffix
        )
        jpeg = False if one else None
        return self._files(folder, self.label_suffix, but=(self.images,), jpeg=jpeg)

    def _files(
        self,
        name: str,
        suffix: str,
        *,
        but: Sequence[str] = (),
        no_end: str | None = None,
        jpeg: bool | None = None,
    ) -> dict[str, Path]:
        """Relative stem, without the suffix -> image file, sorted; hidden ones are passed over.

        Args:
            name: the folder.
            suffix: end of the stems; others are passed over.
            but: folders that are passed over where they lie inside this one.
            no_end: end of the stems that are passed over.
            jpeg: take JPEGs alone, or all but them: of one stem, the JPEG is no label map.
        """
        folder = self.root / name
        if not folder.is_dir():
            raise self._absent(f"{folder} is no folder")
        inner = [place for place in (self.root / it for it in but) if folder in place.parents]
        found: dict[str, Path] = {}
        twice = []
        for file in image_files(folder):
            if any(place in file.parents for place in inner):
                continue
            if jpeg is not None and jpeg != (file.suffix.lower() in _JPEG):
                continue
            if no_end is not None and file.stem.endswith(no_end):
                continue
            stem = file.relative_to(folder).with_suffix("").as_posix()
            if not stem.endswith(suffix):
                continue
            stem = stem.removesuffix(suffix)
            if stem in found:
                twice.append((file.stem, f"{found[stem]} and {file} bear one name"))
            else:
                found[stem] = file
        no_pair(twice, "take one of them away")
        return found

    def _absent(self, what: str) -> UserError:
        return UserError(f"{what}: expected {self}; correct root or split{self._elsewhere()}")

    def _elsewhere(self) -> str:
        """The end of a message: where the layout is, if the root is a level too high or too low."""
        if not self._is_at(self.root):
            for place in _around(self.root):
                if self._is_at(place):
                    return f"; did you mean data.root={place}?"
        return ""

    def _is_at(self, root: Path) -> bool:
        folders = all((root / folder).is_dir() for folder in (self.images, self.labels[0]))
        return folders and (self.listing is None or (root / self.listing).is_file())


def _around(folder: Path) -> Iterator[Path]:
    """The folder that it lies in, and those that lie in it."""
    yield Path(os.path.abspath(folder)).parent
    if folder.is_dir():
        yield from (inner for inner in sorted(folder.iterdir()) if inner.is_dir())
