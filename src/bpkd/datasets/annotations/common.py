"""What every annotation format is read into: samples, each an image and what is drawn on it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

from bpkd.datasets.annotations.polygons import Shape
from bpkd.datasets.colours import Colour
from bpkd.datasets.deep import Array
from bpkd.errors import UserError
from bpkd.support.messages import one_line

#: (width, height), as the tools write it.
Size: TypeAlias = tuple[int, int]
#: The value of a pixel that a mask says nothing about: transparent.
NOTHING = -1


@dataclass(frozen=True)
class Object:
    """One object: its class, its area, and whether it is a crowd of them."""

    label: str
    shape: Shape
    crowd: bool = False


@dataclass(frozen=True)
class Drawing:
    """The objects of one image, in the order in which they cover each other.

    Attributes:
        where: the annotation, for messages.
        objects: the later lies over the earlier.
        size: (width, height) that the annotation says; None where the format does not say.
        without_area: lines, points and the like, that were passed over.
    """

    where: str
    objects: Sequence[Object]
    size: Size | None = None
    without_area: int = 0


@dataclass(frozen=True)
class Values:
    """The mask of one image, as its file has it.

    Attributes:
        where: the file, for messages.
        values: int32 (H, W): a number or, where colours code the classes, 65536 r + 256 g + b;
            NOTHING where the mask is transparent.
        objects: int32 (H, W): an object's own number, 0 for none; where the format has such.
    """

    where: str
    values: Array
    objects: Array | None = None


@dataclass(frozen=True)
class Sample:
    """An image, what reads its annotation, and the split that it is in, where that is known."""

    image: Path
    read: Callable[[], Drawing | Values]
    split: str | None = None


@dataclass(frozen=True)
class Annotations:
    """What a folder holds in one format.

    Attributes:
        samples: all of them.
        classes: names, as the format declares them or, where it does not, as they occur; none
            where the caller gave classes and nothing is declared.
        colours: of some of the classes.
        values: of masks: value in the files -> class, None for what belongs to no class; None
            where only the caller's classes can say.
        by_colour: whether these values are colours' numbers.
        background: the declared class of the pixels that nothing covers.
        void: names that stand for pixels of no class.
        remarks: what a user should know, a line each.
    """

    samples: Sequence[Sample]
    classes: Sequence[str]
    colours: Mapping[str, Colour] = field(default_factory=dict)
    values: Mapping[int, str | None] | None = None
    by_colour: bool = False
    background: str | None = None
    void: Sequence[str] = ()
    remarks: Sequence[str] = ()


_SPLITS = {
    "train": "train|training",
    "val": "val|valid|validation|dev",
    "test": "test|testing",
}
_AFTER = r"(?=$|annot|label|mask|image|img|gt|\d)"


def split_of(*names: str) -> str | None:
    """The split that the name of a folder or file speaks of: the first one that does.

    >>> split_of("photos", "valid"), split_of("instances_train2017"), split_of("trainannot")
    ('val', 'train', 'train')
    >>> split_of("trains", "contest", "latest") is None
    True
    """
    for name in names:
        for word in re.split(r"[^a-z0-9]+", name.lower()):
            for split, words in _SPLITS.items():
                if re.match(f"(?:{words}){_AFTER}", word):
                    return split
    return None


def with_areas(
    entries: Iterable[Any], shape: Callable[[Any], Shape | None]
) -> tuple[list[tuple[Any, Shape]], int]:
    """The entries of a file that have an area, each with it, and how many have none.

    >>> with_areas([1, 2, 3], lambda entry: None if entry == 2 else entry)
    ([(1, 1), (3, 3)], 1)
    """
    found = [(entry, shape(entry)) for entry in entries]
    kept = [(entry, area) for entry, area in found if area is not None]
    return kept, len(found) - len(kept)


def labels_in(samples: Iterable[Sample]) -> list[str]:
    """The names that occur, by the alphabet: the order does not depend on the files'."""
    found: set[str] = set()
    for sample in samples:
        drawing = sample.read()
        assert isinstance(drawing, Drawing)
        found.update(thing.label for thing in drawing.objects)
    return sorted(found)


@dataclass(frozen=True)
class Known:
    """Reads a drawing that is in memory, of formats that keep many in one file."""

    drawing: Drawing

    def __call__(self) -> Drawing:
        """The drawing."""
        return self.drawing


@contextmanager
def as_written_by(tool: str, where: object) -> Iterator[None]:
    """Inside, content of an unexpected form is the user's mistake, said in one line.

    Raises:
        UserError: something is missing or of another type than the tool writes.
    """
    try:
        yield
    except UserError:
        raise
    except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
        what = f"no {error}" if isinstance(error, KeyError) else one_line(error)
        raise UserError(f"{where} is not as {tool} writes it ({what}): export it anew") from None


def hex_colour(text: Any) -> Colour | None:
    """The colour that ``#rrggbb`` stands for; None for anything else.

    >>> hex_colour("#ff8000"), hex_colour("red")
    ((255, 128, 0), None)
    """
    found = re.fullmatch(r"#?([0-9a-fA-F]{6})(?:[0-9a-fA-F]{2})?", str(text))
    if not found:
        return None
    red, green, blue = bytes.fromhex(found[1])
    return red, green, blue
