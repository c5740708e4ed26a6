"""Bringing published data sets into the form that training reads; nothing is downloaded."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

from bpkd.datasets.parallel import Progress
from bpkd.datasets.preparing.common import Report
from bpkd.errors import UserError
from bpkd.messages import suggestion

#: The data sets, each with a module of its name here.
NAMES = ("cityscapes", "ade20k", "pascal-context", "voc", "coco-stuff")


def prepare(
    name: str,
    source: str | Path,
    out: str | Path | None = None,
    *,
    workers: int | None = 0,
    progress: Progress = iter,
) -> Report:
    """Convert what a data set needs before it can be read.

    Args:
        name: one of :data:`NAMES`.
        source: where its archives were unpacked.
        out: where the result goes, with links to the images; None puts it into ``source``.
        workers: processes, see :func:`~bpkd.datasets.parallel.each`.
        progress: wraps what is gone through.

    Raises:
        UserError: no such data set, or ``source`` does not hold it: says where to get it and how
            the folder must look.
    """
    if name not in NAMES:
        raise UserError(f"{name!r} is no data set to prepare; {suggestion(name, NAMES)}")
    source = Path(source).expanduser()
    target = source if out is None else Path(out).expanduser()
    module = import_module(f"{__name__}.{name.replace('-', '_')}")
    report: Report = module.prepare(source, target, workers=workers, progress=progress)
    return report
