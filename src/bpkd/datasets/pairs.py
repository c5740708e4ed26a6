"""Which image belongs to which label map: by folders, by suffixes, by lists of a split."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from bpkd.datasets.images import image_files
from bpkd.datasets.unpaired import Pair, collected, no_label_map
from bpkd.errors import UserError


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
    """

    root: Path
    images: str
    labels: tuple[str, ...]
    listing: str | None = None
    image_suffix: str = ""
    label_suffix: str = ""
    source: str = ""

    def __str__(self) -> str:
        """The layout in one phrase, for messages."""
        images = f"{self.root}/{self.images}/NAME{self.image_suffix}.jpg"
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
                f"{parts[0]}"
            )
        pairs = list(dict.fromkeys(pair for part in parts for pair in part._pairs()))
        unpaired = collected()
        if not pairs and not (unpaired and unpaired.images):
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
        expected, unpaired = str(self), collected()
        lines = None if self.listing is None else _lines(self.root / self.listing, expected)
        if lines and _is_pair(lines[0]):
            return self._listed_pairs(lines)
        images = _stems(self.root / self.images, self.image_suffix, expected)
        if lines is not None:
            images = self._listed_images(lines, images)
        maps: dict[str, Path] = {}
        for folder in reversed(self.labels):
            maps |= _stems(self.root / folder, self.label_suffix, expected)
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
            unpaired.labels += [file for stem, file in maps.items() if stem not in images]
        return [(image, maps[stem]) for stem, image in images.items() if stem in maps]

    def _listed_images(self, lines: list[str], images: dict[str, Path]) -> dict[str, Path]:
        """The images that a list names by their stems, in its order."""
        listed = dict.fromkeys(
            stem if stem in images else Path(stem).with_suffix("").as_posix()
            for stem in (line.removesuffix(self.image_suffix) for line in lines)
        )
        if absent := [stem for stem in listed if stem not in images]:
            raise UserError(
                f"{self.root / str(self.listing)} names {absent[0]!r}, which is no image in "
                f"{self.root / self.images} ({len(absent)} of {len(listed)} have none): "
                "add it, or take the line away"
            )
        return {stem: images[stem] for stem in listed}

    def _listed_pairs(self, lines: list[str]) -> list[Pair]:
        """The pairs that a list names by two paths a line, relative to the root."""
        pairs: list[Pair] = []
        for line in lines:
            if not _is_pair(line):
                raise UserError(
                    f"{self.root / str(self.listing)}: {line!r} is no pair of files; expected the "
                    "paths of an image and its label map, as in the first line"
                )
            # Lists in circulation begin their paths with a slash.
            image, labels = (self.root / path.lstrip("/") for path in line.split())
            if not image.is_file():
                raise UserError(
                    f"{self.root / str(self.listing)} names {image}, which does not exist: "
                    "add it, or take the line away"
                )
            pairs.append((image, labels))
        missing = [pair for pair in pairs if not pair[1].is_file()]
        no_label_map(missing, len(pairs))
        return [pair for pair in pairs if pair not in missing] if missing else pairs


def _lines(file: Path, expected: str) -> list[str]:
    """The lines of a split's list, without empty ones."""
    try:
        lines = [line.strip() for line in file.read_text(encoding="utf-8-sig").splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(
            f"{file} is no list of a split ({getattr(error, 'strerror', None) or 'not text'}): "
            f"expected {expected}; correct root or split"
        ) from None
    return [line for line in lines if line]


def _is_pair(line: str) -> bool:
    paths = line.split()
    return len(paths) == 2 and all(Path(path).suffix for path in paths)


def _stems(folder: Path, suffix: str, expected: str) -> dict[str, Path]:
    """Relative stem, without the suffix -> image file, sorted; hidden files are passed over."""
    if not folder.is_dir():
        raise UserError(f"{folder} is no folder: expected {expected}; correct root or split")
    found: dict[str, Path] = {}
    for file in image_files(folder):
        stem = file.relative_to(folder).with_suffix("").as_posix()
        if not stem.endswith(suffix):
            continue
        stem = stem.removesuffix(suffix)
        if stem in found:
            raise UserError(f"{found[stem]} and {file} bear one name: take one of them away")
        found[stem] = file
    return found
