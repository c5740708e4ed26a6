"""ADE20K is read as it is published."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bpkd.datasets.ade20k import ADE20K
from bpkd.datasets.preparing.common import Report, Request
from bpkd.datasets.preparing.finding import nearest, packed
from bpkd.datasets.preparing.inspecting import inspected
from bpkd.errors import UserError


def prepare(request: Request) -> Report:
    """Look at ``ADEChallengeData2016``: pairs and their published number; nothing is written.

    Raises:
        UserError: the source does not hold it.
    """
    source = request.source
    if root := nearest(source, ("images", "annotations"), _root):
        return inspected(ADE20K, root, {"train": 20210, "val": 2000}, request)
    raise UserError(
        f"{source} is not ADE20K: expected {source}/images/training/*.jpg beside "
        f"{source}/annotations/training/*.png, and validation as well ({ADE20K.source})"
        + packed(source, {"ADEChallengeData2016*.zip": ""})
    )


def _root(places: Sequence[Path]) -> Path | None:
    found = (root for place in places for root in (place / "ADEChallengeData2016", place))
    return next((root for root in found if (root / "images/training").is_dir()), None)
