"""Bringing published data sets into the form that training reads; nothing is downloaded."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

from bpkd.datasets.parallel import Progress
from bpkd.datasets.preparing.common import Report, Request
from bpkd.errors import UserError
from bpkd.support.messages import suggestion

#: The data sets, and annotations of any tool; each with a module of its name here.
NAMES = ("cityscapes", "ade20k", "pascal-context", "voc", "coco-stuff", "coco", "annotations")


def prepare(
    name: str,
    source: str | Path,
    out: str | Path | None = None,
    *,
    overwrite: bool = False,
    workers: int | None = 0,
    progress: Progress = iter,
) -> Report:
    """Convert what a data set needs before it can be read.

    What ``source`` itself does not hold is looked for one folder further down and up.

    Args:
        name: one of :data:`NAMES`, with dashes or, as recipes spell it, underscores.
        source: where its archives were unpacked.
        out: where the result goes, with links to the images; None puts it into ``source``.
        overwrite: make label maps anew that are there already.
        workers: processes, see :func:`~bpkd.datasets.parallel.each`.
        progress: wraps what is gone through.

    Raises:
        UserError: no such data set, or ``source`` does not hold it: says where to get it and how
            the folder must look, and which archives were not unpacked; or ``out`` or ``overwrite``
            is asked for where nothing is written.
    """
    dashed = name.lower().replace("_", "-")
    if dashed not in NAMES:
        raise UserError(f"{name!r} is no data set to prepare; {suggestion(dashed, NAMES)}")
    source = Path(source).expanduser()
    if source.name in ("", ".."):  # has no parent by its name
        source = source.resolve()
    if source.is_file():
        raise UserError(f"{source} is a file: unpack it, and give the folder that it went into")
    target = None if out is None else Path(out).expanduser()
    if target is not None and target.resolve() == source.resolve():
        target = None
    module = import_module(f"{__name__}.{dashed.replace('-', '_')}")
    report: Report = module.prepare(Request(source, target, overwrite, workers, progress))
    return report
