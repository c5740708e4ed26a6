"""What is no broken pair and yet wants a second look: the warnings of a check."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from functools import cache
from itertools import combinations
from pathlib import Path
from typing import Any

from bpkd.datasets.checking.instances import ODDITIES, InstanceSummary
from bpkd.datasets.checking.splits import Split, published_count
from bpkd.datasets.checking.summary import Summary
from bpkd.datasets.checking.suspicions import (
    near_colours,
    on_classes,
    on_pixels,
    on_range,
    one_class,
)
from bpkd.datasets.coco import COCO
from bpkd.datasets.folder import Folder
from bpkd.datasets.instance_folder import InstanceFolder
from bpkd.recipe.sections import Data

_EXAMPLES = 3


def remarks(
    splits: Sequence[Split], summaries: Sequence[Summary | InstanceSummary], data: Data
) -> list[str]:
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
            for line in _on_targets(split, summary, data)
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
    known = [(name, files) for name, data in splits if (files := _files(data))]
    for (one, files), (other, others) in combinations(known, 2):
        if both := [files[key] for key in files if key in others]:
            yield (
                f"{one} and {other} share {len(both):,} images, e.g. {both[0]}: give each split "
                "its own, by a folder ({split} in data.images) or a list"
            )


def _files(data: Any) -> dict[str, Path]:
    """The images by a name that is the same whatever links lead to their folders."""
    if isinstance(data, Folder | InstanceFolder):
        images = [image for image, _ in data.pairs]
    else:
        images = data.files if isinstance(data, COCO) else []
    folder = cache(os.path.realpath)
    return {f"{folder(image.parent)}/{image.name}": image for image in images}


def _ranges(splits: Sequence[Split]) -> Iterator[str]:
    """Said once, where it is one for all splits: training reads them all in that of the first."""
    said = set()
    for split in splits:
        reading = getattr(split.data, "reading", None)
        if reading not in said:
            said.add(reading)
            yield from on_range(split.name, split.data)


def _on_targets(split: Split, summary: Summary | InstanceSummary, data: Data) -> Iterator[str]:
    name, instances = summary.split, isinstance(summary, InstanceSummary)
    if summary.images and not summary.labelled:
        use = "learnt from" if name == data.train else "measured on"
        # Some benchmarks, Cityscapes among them, keep the labels of their test images.
        instead = f"; set data.test={data.val}" if name == data.test and data.val else ""
        what = "instance" if instances else "labelled pixel"
        yield f"{name}: no {what} in any image, so nothing can be {use} it{instead}"
    elif name == data.train and isinstance(summary, Summary):
        yield from on_classes(split.data, summary, complete=True)
    elif name == data.train and (absent := summary.absent()):
        yield f"never in {name}: {', '.join(absent)}"
    if isinstance(summary, Summary):
        yield from on_pixels(split.data, summary)
        return
    for kind, what in ODDITIES.items():
        if count := summary.odd[kind]:
            yield f"{name}: {count:,} {what}, e.g. in {summary.example[kind]}"
