"""ADE20K is read as it is published."""

from __future__ import annotations

from pathlib import Path

from bpkd.datasets.ade20k import ADE20K
from bpkd.datasets.parallel import Progress
from bpkd.datasets.preparing.common import Report, inspected


def prepare(source: Path, target: Path, *, workers: int | None, progress: Progress) -> Report:
    """Look whether ``ADEChallengeData2016`` is complete; ``target`` stays as it is."""
    inner = source / "ADEChallengeData2016"
    root = inner if inner.is_dir() else source
    return inspected(ADE20K, root, {"train": 20210, "val": 2000})
