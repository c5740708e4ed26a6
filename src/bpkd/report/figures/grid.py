"""Figures 3 to 5 of the paper: images in rows, networks in columns, zoomed on outlines."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from torch import nn

from bpkd.datasets.ade20k import ADE20K
from bpkd.datasets.building import build_data
from bpkd.datasets.cityscapes import Cityscapes
from bpkd.datasets.pascal_context import PascalContext
from bpkd.errors import UserError
from bpkd.report.compare import names_of, recipes_of, teacher_of
from bpkd.report.figure import frame
from bpkd.report.figures.rule import Gain
from bpkd.report.figures.views import View, all_seen, view_of
from bpkd.runs.loading import load

#: What stands at the end of a row: the paper has the teacher, on Cityscapes the labels.
Last = Literal["teacher", "labels", "both"]


@dataclass
class Page:
    """What a grid is drawn from.

    Attributes:
        networks: by the name above their column; the first and the last of ``students`` are
            those that the rule compares.
        students: names of the networks that are compared.
        data: a data set, see the contract in :mod:`bpkd.datasets`.
        view: what is seen and shown of an image.
        labels: whether the annotations have a column.
    """

    networks: dict[str, nn.Module]
    students: list[str]
    data: Any
    view: View
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
    wanted = last or _as_in_the_paper(data)
    if wanted != "labels" and (teacher := teacher_of(list(recipes.values()))) is not None:
        if teacher.resolve() not in {run.resolve() for run in names.values()}:
            networks["teacher"] = load(teacher)
    elif last in ("teacher", "both"):
        raise UserError("the runs' teacher is no run that is still there; take --last labels")
    else:
        wanted = "labels"
    return Page(networks, list(names), data, view_of(first, data), labels=wanted != "teacher")


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
    """By how much the last student is ahead of the first on each image.

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
    found = []
    for index in progress(images):
        image, target = page.data[index]
        before, after = (page.view.see(network, image) for network in (first, last))
        found.append(Gain(index, page.view.gain(before, after, target, width)))
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
        raise UserError("no image of the split has anything to compare, so none can be chosen")
    titles = ["image", *page.networks, *([page.view.truth] if page.labels else [])]
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
    image, target = page.data[row.index]
    view, seen = page.view, all_seen(page.view, page.networks, image)
    height, breadth = image.shape[1:]
    size = max(1, height * 2 // 5), max(1, breadth * 2 // 5)
    part = view.part([seen[name] for name in page.students], target, size, width)
    shown = [*seen.values(), *([view.true(target)] if page.labels else [])]
    photo = image.permute(1, 2, 0).numpy()
    axes[0, 0].imshow(photo)
    axes[1, 0].imshow(photo[part], interpolation="nearest")
    axes[0, 0].set_ylabel(f"image {row.index}\n{row.points:+.1f}", fontsize=9)
    for axis in axes[0]:
        frame(axis, part)
    for column, each in enumerate(shown, start=1):
        axes[0, column].imshow(view.laid_over(image, each, target))
        axes[1, column].imshow(view.close(image, each, target)[part], interpolation="nearest")
