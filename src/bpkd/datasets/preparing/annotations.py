"""Annotations of any tool as label maps: the folder layout, which other programs read as well."""

from __future__ import annotations

import csv
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from bpkd.datasets.annotated import Annotated
from bpkd.datasets.annotations.catalogue import recognised
from bpkd.datasets.annotations.tree import Tree
from bpkd.datasets.preparing.common import Report, Request, convert, link
from bpkd.datasets.splitting import drawn
from bpkd.errors import UserError
from bpkd.support.files import replacing_csv

_PALETTE = 256  # colours that a PNG's palette holds


def prepare(request: Request) -> Report:
    """Write ``labels/SPLIT/NAME.png`` and ``classes.csv``, and links to the images.

    Splits are those of the folder; what is missing is drawn, as ``bpkd init`` draws it.

    Raises:
        UserError: the source is in no known format, or ``out`` is missing or below it.
    """
    out = request.out
    if out is None or out.resolve().is_relative_to(request.source.resolve()):
        raise UserError(
            f"{request.source}: give --out, a folder elsewhere: nothing is written among the "
            "annotations"
        )
    tree = Tree(request.source)
    form = recognised(tree)
    found = form.read(tree)
    data = Annotated(request.source, "all", format=form.name, found=found)
    given = {tree.relative(sample.image): sample.split for sample in found.samples}
    splits, _ = drawn(sorted(given), given, 0)
    split_of = {image: split for split, images in splits.items() for image in images}
    jobs, images = [], []
    for index, sample in enumerate(data.samples):
        split, name = split_of[tree.relative(sample.image)], data.name(index)
        jobs.append((index, out / "labels" / split / f"{name}.png"))
        images.append((sample.image, out / "images" / split / f"{name}{sample.image.suffix}"))
    report = convert(jobs, _Make(data), request)
    for (_, target), (image, place) in zip(jobs, images, strict=True):
        if target not in report.failed:
            link(image, place)
    with replacing_csv(out / "classes.csv") as stream:
        writer = csv.writer(stream)
        writer.writerow(["name", "r", "g", "b"])
        writer.writerows([name, *rgb] for name, rgb in zip(data.classes, data.palette, strict=True))
    report.lines[:0] = [f"{form.title}: {len(data):,} images, {len(data.classes)} classes"]
    report.lines += [f"note: {remark}" for remark in found.remarks]
    report.ready(Path(os.path.normpath(out)))
    return report


@dataclass(frozen=True)
class _Make:
    """The label map of a sample, as a palette image or, of many classes, in 16 bits."""

    data: Annotated

    def __call__(self, index: int) -> Image.Image:
        labels = self.data[index][1].numpy()
        if len(self.data.classes) > _PALETTE - 1:
            return Image.fromarray(labels.astype(np.uint16))
        picture = Image.fromarray(labels.astype(np.uint8))
        picture.putpalette([channel for colour in self.data.palette for channel in colour])
        return picture
