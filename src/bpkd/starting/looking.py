"""A look at a folder: format, classes, splits, sizes, how much of each class there is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bpkd.datasets.annotated import Annotated, own_classes
from bpkd.datasets.annotations.catalogue import named, recognised
from bpkd.datasets.annotations.common import Annotations, Drawing
from bpkd.datasets.annotations.format import Format
from bpkd.datasets.annotations.tree import Tree
from bpkd.datasets.checking.examining import Examiner, Problem
from bpkd.datasets.classes import check_names
from bpkd.datasets.parallel import Progress, each
from bpkd.errors import UserError

#: How many images are read in full; more would not change what is chosen.
LOOKED_AT = 300


@dataclass(frozen=True)
class ClassSize:
    """How much of a class there is among the images that were looked at.

    Attributes:
        images: that show it.
        share: of the labelled pixels.
        side: median, over the images that show it, of the square root of its pixels in one.
    """

    images: int
    share: float
    side: float


@dataclass(frozen=True)
class Look:
    """What a folder holds.

    Attributes:
        root: the folder, as it was given.
        format: of its annotations.
        found: the annotations.
        classes: names in the order of their indices.
        palette: their colours.
        void: values of masks that belong to no class.
        splits: split -> images; None for images in no split.
        images: paths below the root of all annotated images.
        size: median (H, W).
        smallest: (H, W) of the image with the fewest pixels.
        largest: (H, W) of the image with the most.
        sizes: of each class.
        looked_at: how many images were read.
        remarks: what the user should know, a line each.
    """

    root: Path
    format: Format
    found: Annotations
    classes: Sequence[str]
    palette: Sequence[tuple[int, int, int]]
    void: Sequence[int]
    splits: Mapping[str | None, int]
    images: Sequence[str]
    size: tuple[int, int]
    smallest: tuple[int, int]
    largest: tuple[int, int]
    sizes: Sequence[ClassSize]
    looked_at: int
    remarks: Sequence[str]


def look(
    root: str | Path,
    format: str | None = None,
    *,
    workers: int | None = 0,
    progress: Progress = iter,
) -> Look:
    """Look at a folder. Nothing is written.

    Args:
        root: the folder.
        format: its format; None recognises it.
        workers: processes that read, see :func:`~bpkd.datasets.parallel.each`.
        progress: wraps what is gone through.

    Raises:
        UserError: no known annotations, or several kinds; one class or none; every image that was
            looked at is broken: what is wrong with the first.
    """
    tree = Tree(root)
    form = named(format) if format else recognised(tree)
    found = form.read(tree)
    classes = own_classes(form, found, "background")
    if len(classes) < 2:
        raise UserError(
            f"{tree.root}: {form.title} with {len(classes)} class and no background: there is "
            "nothing to tell apart"
        )
    check_names(classes, f"{tree.root}, the annotations")
    data = Annotated(root, "all", format=form.name, found=found)
    step = max(len(data) / LOOKED_AT, 1.0)
    indices = [int(number * step) for number in range(int(len(data) / step))]
    findings = list(each(Examiner(data), indices, workers=workers, progress=progress))
    good = [finding for finding in findings if not isinstance(finding, Problem)]
    bad = [finding for finding in findings if isinstance(finding, Problem)]
    if not good:
        raise UserError(bad[0].message)
    pixels = np.stack([finding.pixels for finding in good])
    by_area = sorted((finding.size for finding in good), key=lambda size: size[0] * size[1])
    remarks = [*found.remarks, *_broken(bad, len(findings)), *_without_area(found)]
    remarks += _uneven(data, indices, findings, len(data))
    return Look(
        tree.root, form, found, classes, data.palette,
        sorted(v for v, name in (found.values or {}).items() if name is None and v != 255),
        Counter(sample.split for sample in found.samples),
        sorted(tree.relative(sample.image) for sample in found.samples),
        by_area[len(by_area) // 2], by_area[0], by_area[-1], _class_sizes(pixels), len(good),
        remarks,
    )  # fmt: skip


def _class_sizes(pixels: np.typing.NDArray[np.int64]) -> list[ClassSize]:
    total = max(int(pixels.sum()), 1)
    return [
        ClassSize(
            int((column > 0).sum()),
            float(column.sum() / total),
            float(np.sqrt(np.median(column[column > 0]))) if column.any() else 0.0,
        )
        for column in pixels.T
    ]


def _broken(bad: Sequence[Problem], total: int) -> list[str]:
    if not bad:
        return []
    return [
        f"{len(bad)} of {total} images that were looked at are broken, e.g. {bad[0].message} "
        "(bpkd data check lists all)"
    ]


def _without_area(found: Annotations) -> list[str]:
    """Lines and points, of formats whose drawings are in memory anyway."""
    drawings = [s.read.drawing for s in found.samples if hasattr(s.read, "drawing")]
    count = sum(d.without_area for d in drawings if isinstance(d, Drawing))
    return [f"{count:,} lines, points or boxes have no area: passed over"] if count else []


def _uneven(
    data: Annotated, indices: Sequence[int], findings: Sequence[object], total: int
) -> list[str]:
    """Classes that training would never see, and others do."""
    seen: dict[str | None, set[int]] = {}
    for index, finding in zip(indices, findings, strict=True):
        if not isinstance(finding, Problem):
            there = seen.setdefault(data.samples[index].split, set())
            there |= set(np.flatnonzero(finding.pixels).tolist())  # type: ignore[attr-defined]
    if "train" not in seen:
        return []
    of = "" if len(indices) == total else f" (of {len(indices)} images that were looked at)"
    remarks = []
    for split in ("val", "test"):
        if extra := sorted(seen.get(split, set()) - seen["train"]):
            names = ", ".join(data.classes[index] for index in extra[:6])
            more = ", ..." if len(extra) > 6 else ""
            remarks.append(
                f"classes differ between splits: {split} shows {names}{more}, and train never "
                f"does{of}"
            )
    return remarks
