"""The samples of a split, and what each is called."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from bpkd.datasets.annotations.common import Annotations, Sample
from bpkd.datasets.annotations.tree import Tree, plain
from bpkd.datasets.lists import read_lines
from bpkd.errors import UserError


def of_split(found: Annotations, tree: Tree, split: str, list: str | None) -> Sequence[Sample]:
    """The samples of a split, by its list or by the folders.

    Raises:
        UserError: there is no such split, or the list names an image that has no annotation.
    """
    if not isinstance(split, str) or not all(split.split("+")):
        raise UserError(f"split {split!r} is no split: write a name, or two as train+val")
    if list is not None:
        by_path = {plain(tree.relative(sample.image)): sample for sample in found.samples}
        return [
            _listed(by_path, line, Path(list.replace("{split}", part)))
            for part in split.split("+")
            for line in _lines(Path(list.replace("{split}", part)))
        ]
    if split == "all":
        return found.samples
    known = {sample.split for sample in found.samples} - {None}
    for part in split.split("+"):
        if part not in known:
            there = f"it has {', '.join(sorted(map(str, known)))}" if known else "it has none"
            raise UserError(
                f"{tree.root} has no split {part!r}: {there}; give `list`, text files of images "
                "(bpkd init makes them), or split: all"
            )
    return [sample for sample in found.samples if sample.split in split.split("+")]


def _lines(file: Path) -> list[str]:
    try:
        return read_lines(file)
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "not text"
        raise UserError(f"{file} is no list of a split ({why})") from None


def _listed(by_path: Mapping[str, Sample], line: str, file: Path) -> Sample:
    if plain(line) not in by_path:
        raise UserError(
            f"{file} names {line!r}, which is no annotated image: take the line away, or make the "
            "list anew"
        )
    return by_path[plain(line)]


def unique_names(tree: Tree, samples: Sequence[Sample]) -> list[str]:
    """Stems; where two are alike, with the folders that tell them apart."""
    stems = [sample.image.stem for sample in samples]
    if len(set(stems)) == len(stems):
        return stems
    files = [sample.image.relative_to(tree.root).with_suffix("") for sample in samples]
    return ["--".join(file.parts) for file in files]
