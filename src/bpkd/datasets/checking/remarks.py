"""What is no broken pair and yet wants a second look: the warnings of a check."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from functools import cache
from itertools import combinations
from pathlib import Path
from typing import Any

from bpkd.datasets.checking.splits import Split, published_count
from bpkd.datasets.checking.summary import Summary
from bpkd.datasets.checking.suspicions import (
    near_colours,
    on_classes,
    on_pixels,
    on_range,
    one_class,
)
from bpkd.datasets.folder import Folder
from bpkd.recipe.sections import Data

_EXAMPLES = 3


def remarks(splits: Sequence[Split], summaries: Sequence[Summary], data: Data) -> list[str]:
    """A line each, in the order in which they should be read.

    Args:
        splits: as they were opened.
        summaries: what the walk through each of them found.
        data: which of them serves what.
    """
    return [
        *(line for split in splits for line in _on_files(split)),
        *shared([(split.name, split.data) for split in splits]),
        *(line for line in [one_class(splits[0].data)] if line),
        *(
            line
            for split, summary in zip(splits, summaries, strict=True)
            for line in _on_labels(split, summary, data)
        ),
        *_ranges(splits),
        *near_colours(splits[0].data),
    ]


def _on_files(split: Split) -> Iterator[str]:
    expected = published_count(split.data)
    if expected is not None and expected != split.images:
        yield f"{split.name}: {split.images:,} images; the published set has {expected:,}"
    if split.unused:
        more = ", ..." if len(split.unused) > _EXAMPLES else ""
        yield (
            f"{split.name}: label maps without an image: {len(split.unused):,}, "
            f"{', '.join(map(str, split.unused[:_EXAMPLES]))}{more}"
        )


def shared(splits: Sequence[tuple[str, Any]]) -> Iterator[str]:
    """Of data sets that say which files they read."""
    known = [(name, _files(data)) for name, data in splits if isinstance(data, Folder)]
    for (one, files), (other, others) in combinations(known, 2):
        if both := [files[key] for key in files if key in others]:
            yield (
                f"{one} and {other} share {len(both):,} images, e.g. {both[0]}: give each split "
                "its own, by a folder ({split} in data.images and data.labels) or a list"
            )


def _files(data: Folder) -> dict[str, Path]:
    """The images by a name that is the same whatever links lead to their folders."""
    folder = cache(os.path.realpath)
    return {f"{folder(image.parent)}/{image.name}": image for image, _ in data.pairs}


def _ranges(splits: Sequence[Split]) -> Iterator[str]:
    """Said once, where it is one for all splits: training reads them all in that of the first."""
    said = set()
    for split in splits:
        reading = getattr(split.data, "reading", None)
        if reading not in said:
            said.add(reading)
            yield from on_range(split.name, split.data)


def _on_labels(split: Split, summary: Summary, data: Data) -> Iterator[str]:
    if summary.images and not summary.labelled:
        use = "learnt from" if summary.split == data.train else "measured on"
        # Some benchmarks, Cityscapes among them, keep the labels of their test images.
        instead = f"; set data.test={data.val}" if summary.split == data.test and data.val else ""
        yield (
            f"{summary.split}: no labelled pixel in any image, so nothing can be {use} it{instead}"
        )
    elif summary.split == data.train:
        yield from on_classes(split.data, summary, complete=True)
    yield from on_pixels(split.data, summary)
