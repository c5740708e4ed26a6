"""COCO's instances are read as they are published: the annotations and images are counted."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bpkd.datasets.coco import COCO
from bpkd.datasets.preparing.common import Report, Request
from bpkd.datasets.preparing.finding import nearest, packed
from bpkd.datasets.unpaired import collecting_unpaired
from bpkd.errors import UserError

_SIZES = {"train2017": 118287, "val2017": 5000}
_PARTS = ("annotations", "images", *_SIZES)


def prepare(request: Request) -> Report:
    """Count what is there, and list what is broken or missing.

    Raises:
        UserError: there are no annotations near the source, or something was to be written.
    """
    source = request.source
    root = nearest(source, _PARTS, _root)
    if root is None:
        raise UserError(
            f"{source} is not COCO, it lacks annotations/instances_train2017.json or "
            "instances_val2017.json: unpack annotations_trainval2017.zip, train2017.zip and "
            f"val2017.zip (cocodataset.org) into {source}"
            + packed(source, {"annotations_*.zip": "", "train2017.zip": "", "val2017.zip": ""})
        )
    for useless, option in ((request.out, "--out"), (request.overwrite, "--overwrite")):
        if useless:
            raise UserError(f"{root} needs no converting, nothing is written: leave out {option}")
    report, counts = Report(), []
    for split, published in _SIZES.items():
        if not _annotations(root, split).is_file():
            counts.append(f"{split}: no annotations there")
            continue
        with collecting_unpaired() as unpaired:
            data = COCO(root, split)
        note = "" if len(data) == published else f" (published: {published})"
        counts.append(
            f"{split}: {len(data)} images{note}, {len(data.trainable)} to be learnt from, "
            f"{len(data.classes)} classes"
        )
        report.problems += [message for _, message in unpaired.others]
    state = "not ready" if report.problems else "ready"
    report.lines = [f"{state}: nothing needs converting, set data.root={root}", *counts]
    return report


def _root(places: Sequence[Path]) -> Path | None:
    return next(
        (p for p in places if any(_annotations(p, split).is_file() for split in _SIZES)), None
    )


def _annotations(root: Path, split: str) -> Path:
    return root / "annotations" / f"instances_{split}.json"
