"""Files of a data set that have no counterpart: an error, unless somebody collects them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from bpkd.errors import UserError

Pair: TypeAlias = tuple[Path, Path]


@dataclass
class Unpaired:
    """Files that have no counterpart.

    Attributes:
        images: without a label map, each with the label map that was expected.
        labels: label maps without an image, of layouts that take every image there is.
    """

    images: list[Pair] = field(default_factory=list)
    labels: list[Path] = field(default_factory=list)


_collected: ContextVar[Unpaired | None] = ContextVar("collected", default=None)


@contextmanager
def collecting_unpaired() -> Iterator[Unpaired]:
    """Inside, images without a label map are left out of a data set and listed, not an error.

    Yields:
        What fills with the files that have no counterpart.

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
    >>> [labels.name for labels in unpaired.labels]
    ['b.png']
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
