"""Data sets that are read as they are: nothing is written, the pairs are counted."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from bpkd.datasets.folder import Folder
from bpkd.datasets.preparing.common import Report, Request
from bpkd.datasets.unpaired import collecting_unpaired
from bpkd.errors import UserError


def inspected(
    data_set: Callable[..., Folder], root: Path, published: Mapping[str, int], request: Request
) -> Report:
    """A data set that is read as it is: counts its pairs and lists missing label maps.

    Args:
        data_set: called with root and split.
        root: its folder.
        published: how many images each split has.
        request: may not ask for anything to be written.

    Raises:
        UserError: the folder does not look as it must, or something was to be written.
    """
    report, counts = Report(), []
    for split, expected in published.items():
        with collecting_unpaired() as unpaired:
            found = len(data_set(root, split))
        note = "" if found == expected else f" (published: {expected})"
        counts.append(f"{split}: {found} images with label maps{note}")
        report.problems += [
            f"{image} has no label map {labels}" for image, labels in unpaired.images
        ]
        report.problems += [message for _, message in unpaired.others]
    for useless, option in ((request.out, "--out"), (request.overwrite, "--overwrite")):
        if useless:
            raise UserError(
                f"{root} needs no converting, nothing is written: {option} has no use here, leave "
                "it out"
            )
    state = "not ready: label maps are missing" if report.problems else "ready"
    report.lines = [f"{state}: nothing needs converting, set data.root={root}", *counts]
    return report
