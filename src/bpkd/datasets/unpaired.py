"""Files of a data set that make no pair: an error, unless somebody collects them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from bpkd.errors import UserError

Pair: TypeAlias = tuple[Path, Path]
#: The name of a sample, and what keeps it from being one.
Fault: TypeAlias = tuple[str, str]


@dataclass
class Unpaired:
    """Files that make no pair.

    Attributes:
        images: without a label map, each with the label map that was expected.
        labels: label maps without an image, each with the image that was expected, of layouts
            that take every image there is.
        others: what else is no pair, such as a line of a list that names no image.
    """

    images: list[Pair] = field(default_factory=list)
    labels: list[Pair] = field(default_factory=list)
    others: list[Fault] = field(default_factory=list)

    def any(self) -> bool:
        """Whether something was to be a pair and is none."""
        return bool(self.images or self.others)


_collected: ContextVar[Unpaired | None] = ContextVar("collected", default=None)


@contextmanager
def collecting_unpaired() -> Iterator[Unpaired]:
    """Inside, what makes no pair is left out of a data set and listed, not an error.

    Yields:
        What fills with the files that make no pair.

    >>> import tempfile
    >>> root = Path(tempfile.mkdtemp())
    >>> for folder in ("images", "labels"):
    ...     (root / folder).mkdir()
    >>> (root / "images/a.jpg").touch(), (root / "labels/b.png").touch()
    (None, None)
    >>> from bpkd.datasets.pairs import Layout
    >>> with collecting_unpaired() as unpaired:
    ...     Layout(root, "images", ("labels",)).pairs("train")
    []
    >>> [(image.name, labels.name) for image, labels in unpaired.images]
    [('a.jpg', 'a.png')]
    >>> [(labels.name, image.name) for labels, image in unpaired.labels]
    [('b.png', 'b.jpg')]
    """
    unpaired = Unpaired()
    token = _collected.set(unpaired)
    try:
        yield unpaired
    finally:
        _collected.reset(token)


def collected() -> Unpaired | None:
    """What collects here, if anything does."""
    return _collected.get()


def no_label_map(missing: list[Pair], total: int) -> None:
    """Images without a label map: collected where somebody collects, otherwise an error.

    Args:
        missing: each with the label map that was expected; perhaps none.
        total: how many images there are.

    Raises:
        UserError: there are some, and nobody collects.
    """
    if (unpaired := _collected.get()) is not None:
        unpaired.images += missing
    elif missing:
        image, labels = missing[0]
        raise UserError(
            f"{image} has no label map {labels} ({len(missing)} of {total} images have none): "
            "add it, or take the image away"
        )


def no_pair(faults: Sequence[Fault], advice: str) -> None:
    """Whatever else makes no pair: collected where somebody collects, otherwise an error.

    Args:
        faults: perhaps none.
        advice: what to do, the end of the message.

    Raises:
        UserError: there are some, and nobody collects.
    """
    if (unpaired := _collected.get()) is not None:
        unpaired.others += faults
    elif faults:
        raise UserError(f"{faults[0][1]}: {advice}")
