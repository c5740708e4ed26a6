"""Figures 3 to 5 of the paper: images in rows, networks in columns, zoomed on outlines."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from torch import Tensor, nn

from bpkd.datasets.ade20k import ADE20K
from bpkd.datasets.building import build_data
from bpkd.datasets.cityscapes import Cityscapes
from bpkd.datasets.pascal_context import PascalContext
from bpkd.datasets.transforms import to_float
from bpkd.errors import UserError
from bpkd.inference.overlay import colourise, overlay
from bpkd.inference.predictor import device_of
from bpkd.inference.windows import Inference, build_inference, predict
from bpkd.report.compare import names_of, recipes_of, teacher_of
from bpkd.report.figure import frame
from bpkd.report.figures import check_label_maps
from bpkd.report.figures.rule import Gain, trimap_gain, window
from bpkd.runs.loading import load

#: What stands at the end of a row: the paper has the teacher, on Cityscapes the labels.
Last = Literal["teacher", "labels", "both"]


@dataclass
class Page:
    """What a grid is drawn from.

    Attributes:
        networks: by the name above their column; the first and the last of ``students`` are
            those whose outlines the rule compares.
        students: names of the networks that are compared.
        data: a data set, see the contract in :mod:`bpkd.datasets`.
        inference: how to get logits.
        labels: whether the labels have a column.
    """

    networks: dict[str, nn.Module]
    students: list[str]
    data: Any
    inference: Inference
    labels: bool


def page(
    runs: Sequence[str | Path], *overrides: str, split: str = "test", last: Last | None = None
) -> Page:
    """The networks of runs, in their order, and the images of a split.

    Args:
        runs: folders of two runs or more on one data set, the student alone first and the best
            last; of runs that differ in their seed alone, the first is shown.
        overrides: ``key=value``, dotted, for all of them.
        split: train, val or test.
        last: what stands at the end of a row; None: as in the paper, the labels on Cityscapes, the
            teacher on ADE20K and Pascal Context, both on other data.

    Raises:
        UserError: a folder is no run, fewer than two methods, the runs have different classes, or
            the teacher is asked for and is no run.
    """
    recipes = recipes_of(runs, overrides)
    names: dict[str, Path] = {}
    for run, name in names_of(recipes).items():
        names.setdefault(name, run)
    if len(names) < 2:
        raise UserError(
            "a grid compares the first run with the last: give two methods or more, e.g. plain, "
            f"cwd and bpkd; one alone is shown by bpkd compare {runs[0]}"
        )
    networks = {name: load(run) for name, run in names.items()}
    first = next(iter(recipes.values()))
    data = build_data(first, split)
    check_label_maps(data)
    wanted = last or _as_in_the_paper(data)
    if wanted != "labels" and (teacher := teacher_of(list(recipes.values()))) is not None:
        if teacher.resolve() not in {run.resolve() for run in names.values()}:
            networks["teacher"] = load(teacher)
    elif last in ("teacher", "both"):
        raise UserError("the runs' teacher is no run that is still there; take --last labels")
    else:
        wanted = "labels"
    inference = build_inference(first.evaluation)
    return Page(networks, list(names), data, inference, labels=wanted != "teacher")


def _as_in_the_paper(data: Any) -> Last:
    if isinstance(data, Cityscapes):
        return "labels"
    return "teacher" if isinstance(data, ADE20K | PascalContext) else "both"


def first_images(page: Page, count: int | None) -> range:
    """The first images of the split, all of them where no number is given."""
    return range(len(page.data) if count is None else min(count, len(page.data)))


def gains(
    page: Page, width: int, images: Sequence[int], progress: Callable[[Any], Any] = iter
) -> list[Gain]:
    """By how much the last student is ahead of the first along each image's outlines.

    Args:
        page: see :func:`page`.
        width: of the band round outlines, in pixels.
        images: which of the split.
        progress: wraps the images, e.g. to draw a bar.

    Raises:
        UserError: no such image.
    """
    count = len(page.data)
    for index in images:
        if not 0 <= index < count:
            raise UserError(f"image {index}: the split has {count} images, 0 to {count - 1}")
    first, last = (page.networks[name] for name in (page.students[0], page.students[-1]))
    classes, found = len(page.data.classes), []
    for index in progress(images):
        image, labels = page.data[index]
        before, after = (predicted(net, image, page.inference) for net in (first, last))
        found.append(Gain(index, trimap_gain(before, after, labels.long(), classes, width)))
    return found


def grid_figure(page: Page, rows: Sequence[Gain], width: int) -> Figure:
    """Two lines a row: the images with the classes' colours, and the part where they differ most.

    Args:
        page: see :func:`page`.
        rows: the images, and what stands beside them.
        width: of the band round outlines, in pixels.

    Raises:
        UserError: there is nothing to show.
    """
    if not rows:
        raise UserError("no image of the split has a labelled outline, so none can be chosen")
    titles = ["image", *page.networks, *(["labels"] if page.labels else [])]
    height, breadth = page.data[rows[0].index][0].shape[1:]
    size = 2.2 * len(titles) + 0.4, (2.2 * 2 * height / breadth + 0.1) * len(rows) + 0.4
    tight = ConstrainedLayoutEngine(w_pad=0.02, h_pad=0.02, wspace=0, hspace=0)
    figure = Figure(figsize=size, layout=tight)
    axes = figure.subplots(2 * len(rows), len(titles), squeeze=False)
    for axis in axes.flat:
        axis.set_xticks([])
        axis.set_yticks([])
        for side in axis.spines.values():
            side.set_visible(False)
    for title, axis in zip(titles, axes[0], strict=True):
        axis.set_title(title, fontsize=10)
    for place, row in enumerate(rows):
        _draw_row(axes[2 * place : 2 * place + 2], page, row, width)
    return figure


def _draw_row(axes: Any, page: Page, row: Gain, width: int) -> None:
    image, labels = page.data[row.index]
    labels, palette = labels.long(), page.data.palette
    maps = {name: predicted(net, image, page.inference) for name, net in page.networks.items()}
    height, breadth = labels.shape
    size = max(1, height * 2 // 5), max(1, breadth * 2 // 5)
    part = window([maps[name] for name in page.students], labels, size, width)
    shown = [*maps.values(), *([labels] if page.labels else [])]
    photo = image.permute(1, 2, 0).numpy()
    axes[0, 0].imshow(photo)
    axes[1, 0].imshow(photo[part], interpolation="nearest")
    axes[0, 0].set_ylabel(f"image {row.index}\n{row.points:+.1f}", fontsize=9)
    for axis in axes[0]:
        frame(axis, part)
    for column, classes in enumerate(shown, start=1):
        known = classes.where(labels != page.data.ignore_index, page.data.ignore_index)
        axes[0, column].imshow(overlay(image, known, palette))
        axes[1, column].imshow(colourise(known, palette)[part], interpolation="nearest")


def predicted(network: nn.Module, image: Tensor, inference: Inference) -> Tensor:
    """The classes (H, W) that a network sees in an image uint8 (3, H, W)."""
    device = device_of(network)
    with torch.no_grad():
        return predict(network, to_float(image)[None].to(device), inference)[0].cpu().long()
