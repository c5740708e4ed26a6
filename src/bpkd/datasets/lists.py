"""The lists of splits: files of one stem a line, or of an image and its label map a line."""

from __future__ import annotations

from pathlib import Path

from bpkd.datasets.unpaired import Fault, Pair, no_label_map, no_pair


def read_lines(file: Path) -> list[str]:
    """The lines of a list, without empty ones.

    Raises:
        OSError: there is no such file.
        UnicodeDecodeError: it is no text.
    """
    lines = [line.strip() for line in file.read_text(encoding="utf-8-sig").splitlines()]
    return [line for line in lines if line]


def is_pair(line: str) -> bool:
    """Whether a line holds two paths.

    >>> is_pair("images/a.jpg labels/a.png"), is_pair("my photo.jpg"), is_pair("a")
    (True, False, False)
    """
    paths = line.split()
    return len(paths) == 2 and all(Path(path).suffix for path in paths)


def listed_images(
    lines: list[str], file: Path, images: dict[str, Path], folder: Path
) -> dict[str, Path]:
    """The images that a list names by their stems, in its order.

    Args:
        lines: of the list.
        file: the list, for messages.
        images: those there are, by their stems.
        folder: where they are, for messages.

    Raises:
        UserError: it names an image that does not exist.
    """
    listed = dict.fromkeys(
        stem if stem in images else Path(stem).with_suffix("").as_posix() for stem in lines
    )
    absent = [stem for stem in listed if stem not in images]
    no_pair(
        [(stem, f"{file} names {stem!r}, which is no image in {folder}") for stem in absent],
        f"add it, or take the line away ({len(absent)} of {len(listed)} have none)",
    )
    return {stem: images[stem] for stem in listed if stem in images}


def listed_pairs(lines: list[str], file: Path, root: Path) -> list[Pair]:
    """The pairs that the lines of a list name by two paths each, relative to the root.

    Raises:
        UserError: a line holds anything else, or names a file that does not exist.
    """
    pairs: list[Pair] = []
    faults: list[Fault] = []
    for line in lines:
        if not is_pair(line):
            faults.append((line, f"{file}: {line!r} is no pair of files, as in the first line"))
            continue
        # Lists in circulation begin their paths with a slash.
        image, labels = (root / path.lstrip("/") for path in line.split())
        if image.is_file():
            pairs.append((image, labels))
        else:
            faults.append((image.stem, f"{file} names {image}, which does not exist"))
    no_pair(faults, "correct the line or add the file, or take the line away")
    there = [labels.is_file() for _, labels in pairs]
    no_label_map([pair for pair, found in zip(pairs, there, strict=True) if not found], len(pairs))
    return [pair for pair, found in zip(pairs, there, strict=True) if found]
