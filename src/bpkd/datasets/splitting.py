"""Splits for a folder that has none: drawn from a seed, and written down."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from bpkd.errors import UserError
from bpkd.support.files import replacing

_SHARE = 0.15
_MOST = 500  # images to measure on are enough; the rest teaches
_TEST_FROM = 20  # so few images are not cut in three
_LEAST = 3


def drawn(
    images: Sequence[str], given: Mapping[str, str | None], seed: int
) -> tuple[dict[str, list[str]], bool]:
    """The images of train, val and test.

    What is in a split already stays in it; what is missing is drawn from those that train or that
    are in no split. The same images and the same seed give the same lists.

    Args:
        images: paths below the root.
        given: image -> split by the folders; None for none.
        seed: of the draw.

    Returns:
        Split -> images, sorted; and whether anything was drawn.

    Raises:
        UserError: there are too few images.

    >>> splits, _ = drawn([f"{n:02}.png" for n in range(40)], {}, 0)
    >>> {split: len(names) for split, names in splits.items()}
    {'train': 28, 'val': 6, 'test': 6}
    """
    splits = {
        split: sorted(image for image in images if given.get(image) == split)
        for split in ("train", "val", "test")
    }
    free = sorted(image for image in images if given.get(image) in (None, "train"))
    in_none = len(free) > len(splits["train"])
    if splits["train"] and splits["val"] and not in_none:
        return {split: names for split, names in splits.items() if names}, False
    if splits["train"] and splits["val"]:  # those in no split teach
        return {split: names for split, names in (splits | {"train": free}).items() if names}, True
    wanted = ["val"] if not splits["val"] else []
    if not splits["test"] and len(free) >= _TEST_FROM:
        wanted.append("test")
    count = max(1, min(round(len(free) * _SHARE), _MOST))
    if len(free) < _LEAST:
        raise UserError(
            f"{len(free)} annotated images to train on: expected {_LEAST} or more, so that some "
            "are left to measure on"
        )
    order = np.random.default_rng(seed).permutation(len(free))
    for number, split in enumerate(wanted):
        chosen = order[number * count : (number + 1) * count]
        splits[split] = sorted(free[index] for index in chosen)
    splits["train"] = sorted(free[index] for index in order[len(wanted) * count :])
    return {split: names for split, names in splits.items() if names}, True


def write(splits: Mapping[str, Sequence[str]], folder: Path) -> None:
    """A list a split: ``FOLDER/train.txt``, an image a line."""
    for split, names in splits.items():
        with replacing(folder / f"{split}.txt") as temporary:
            temporary.write_text("".join(f"{name}\n" for name in names), encoding="utf-8")
