"""What the pairs of a split show together that no pair shows alone: values that mean another thing.

Said by ``bpkd data check`` of all pairs, and before training of those that it looks at.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from bpkd.datasets.checking.summary import Summary
from bpkd.datasets.colours import near_pairs
from bpkd.datasets.deep import FULL
from bpkd.datasets.labelled import Labelled

_EXAMPLES = 3
_DARK = 24  # of 255: images no brighter than this are black to the eye
_MOST = 0.8  # of the pixels
_SOME = 0.05


def one_class(data: Any) -> str | None:
    """What is to be said of a data set of a single class, unless its instances are counted."""
    if len(data.classes) != 1 or getattr(data, "task", "semantic") == "instance":
        return None
    name = data.classes[0]
    return (
        f"there is one class, {name}, and one class cannot be told from nothing: name what is "
        f"round it as well, data.classes=[background,{name}], with 0 for background in the label "
        f"maps and 1 for {name}, or data.label_map={{VALUE: CLASS}}; where the rest is "
        f"{data.ignore_index}: data.label_map={{{data.ignore_index}: 0, 0: 1}}"
    )


def on_classes(data: Any, summary: Summary, complete: bool) -> Iterator[str]:
    """Classes that never occur in the split to train on, and what may stand for them instead.

    Args:
        data: by the contract of :mod:`bpkd.datasets`.
        summary: of the pairs that were looked at.
        complete: whether these are all. Of a part, only what is no chance is said.
    """
    absent, count = summary.absent(), len(data.classes)
    if count < 2 or not absent or not summary.labelled:
        return
    told = f"never in {summary.split}: {', '.join(absent)}"
    if not complete:
        told = f"{summary.split}: in {summary.images:,} pairs looked at there is no {absent[0]}"
    part = summary.ignored_share
    if 0 <= data.ignore_index < count:
        if complete:
            yield (
                f"{told}; ignore_index {data.ignore_index} is the index of "
                f"{data.classes[data.ignore_index]}, too: if that is to be learnt, set "
                "data.ignore_index=255, and data.ignore for the values to leave out"
            )
    elif len(absent) == 1 and summary.ignored and (count == 2 or part >= _SOME):
        index, ignored = data.classes.index(absent[0]), data.ignore_index
        key = f", set data.label_map={{{ignored}: {index}}}" if _maps(data) else ""
        yield (
            f"{told}; {ignored} is ignore_index and covers {_percent(part)} of the pixels: if it "
            f"stands for {absent[0]}{key}"
        )
    elif absent == data.classes[:1] and count > 2 and _maps(data):
        shifted = "{1: 0, 2: 1, ...}"
        yield f"{told}; if the label maps count from 1, set data.label_map={shifted}"
    elif complete or len(absent) == count - 1:
        yield told if complete else f"{told}, nor anything but {_others(data, absent)}"


def _others(data: Any, absent: Sequence[str]) -> str:
    return next(str(name) for name in data.classes if name not in absent)


def on_pixels(data: Any, summary: Summary) -> Iterator[str]:
    """Pixels that are mostly ignored, images that are nearly black, or lie otherwise than labels.

    Args:
        data: by the contract of :mod:`bpkd.datasets`.
        summary: of the pairs that were looked at.
    """
    split, part = summary.split, summary.ignored_share
    if summary.labelled and part >= _MOST:
        yield (
            f"{split}: {data.ignore_index} is ignore_index and covers {_percent(part)} of the "
            "pixels; the rest alone is learnt from and measured on"
        )
    if 0 < summary.brightest <= _DARK:
        yield (
            f"{split}: no image is brighter than {summary.brightest} of 255: nearly black"
            "; do the values need scaling before they are saved?"
        )
    if summary.turned:
        yield (
            f"{split}: {summary.turned:,} images are turned by their EXIF data, and their size "
            "does not tell whether their label maps are turned as well: see by bpkd data show; if "
            "not, set data.upright=false"
        )


def on_range(split: str, data: Any) -> Iterator[str]:
    """The range in which images of more than 8 bits are read, where it is not the full one."""
    reading = data.reading if isinstance(data, Labelled) else None
    if reading is None or not reading.measured or reading.value_range in (None, FULL):
        return
    assert reading.value_range is not None
    white = int(reading.value_range[1])
    yield (
        f"{split}: images of more than 8 bits whose values all lie below {white + 1}: they are "
        f"read with white at {white}; data.value_range=[BLACK,WHITE] sets it otherwise"
    )


def near_colours(data: Any) -> Iterator[str]:
    """Classes that cannot be told apart in pictures."""
    pairs = near_pairs([tuple(colour) for colour in data.palette])
    if pairs:
        named = [f"{data.classes[i]} and {data.classes[j]}" for i, j in pairs[:_EXAMPLES]]
        more = f", and {len(pairs) - _EXAMPLES} more pairs" if len(pairs) > _EXAMPLES else ""
        yield (
            f"colours that the eye hardly tells apart in pictures: {', '.join(named)}{more}; "
            "give others by data.palette, or leave colours out to have them made"
        )


def _maps(data: Any) -> bool:
    """Whether its label values can be sent to classes by a key."""
    return isinstance(data, Labelled) and data.ignore_index >= 0


def _percent(part: float) -> str:
    return f"{100 * part:.1f} %" if part >= 0.0005 else "<0.1 %"
