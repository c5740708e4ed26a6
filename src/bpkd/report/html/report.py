"""The report: everything about several runs on one page."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from bpkd.datasets.building import build_data
from bpkd.networks.class_map import ClassMapped
from bpkd.report import model
from bpkd.report.compare import compare, networks_of
from bpkd.report.figures.grid import Page
from bpkd.report.figures.views import view_of
from bpkd.report.html import curves, settings
from bpkd.report.html.bars import THICK, measures, of_sizes
from bpkd.report.html.chosen import Chosen, choose, remarks
from bpkd.report.html.confused import matrices
from bpkd.report.html.page import rendered, write_page
from bpkd.report.html.pictures import Scene, scenes
from bpkd.report.html.sheet import Cell, Sheet, as_number, mark_best, sheet
from bpkd.report.model import Summary
from bpkd.report.table import Row, header, score_names, sizes_said


@dataclass
class Asked:
    """What a report is to show.

    Attributes:
        split: train, val or test.
        rows: how many images.
        images: these, instead of some by the rule.
        width: of the band round outlines by which parts of images, and of label maps the images
            too, are chosen, in pixels.
        candidates: images are chosen among so many; None: among all.
    """

    split: str = "test"
    rows: int = 4
    images: Sequence[int] | None = None
    width: int = 3
    candidates: int | None = None


def report(
    runs: Sequence[str | Path],
    file: Path,
    *overrides: str,
    asked: Asked | None = None,
    progress: Callable[[Any], Any] = iter,
    say: Callable[[str], Any] = print,
) -> None:
    """Measure runs and write a page about them: one file, that needs no other and no network.

    Args:
        runs: folders of runs on one data set; those that differ in their seed alone share a row.
        file: the page, written whole or not at all.
        overrides: ``key=value``, dotted, for all of them.
        asked: what it shows.
        progress: wraps the images that are measured, e.g. to draw a bar.
        say: told in a line what the reader has to know.

    Raises:
        UserError: a folder is no run or a damaged one, the runs have other classes or data, or
            there is no such split or image.
    """
    asked = asked or Asked()
    chosen = choose(runs, overrides)
    first = next(iter(chosen.recipes.values()))
    data = build_data(first, asked.split)
    networks = networks_of(chosen.recipes, data)
    networks = {name: networks[name] for name in (*chosen.methods, *networks)}
    # The pictures first: what is wrong with the data is seen here, before the long way.
    page = Page(networks, chosen.students, data, view_of(first, data), labels=True)
    pictures = scenes(page, asked.rows, asked.images, asked.width, asked.candidates, progress)
    rows = compare(runs, *overrides, split=asked.split, progress=progress, say=say)
    size = tuple(data[0][0].shape[1:])
    summaries = [
        model.summarise(name, len(data.classes), _own(networks[name]), size)
        for name in chosen.methods
    ]
    text = _page(chosen, asked, page, pictures, rows, summaries, size, say)
    write_page(file, text)


def _own(network: nn.Module) -> nn.Module:
    """A network as it is, its classes in its own order."""
    return network.network if isinstance(network, ClassMapped) else network


def _page(
    chosen: Chosen,
    asked: Asked,
    page: Page,
    pictures: Sequence[Scene],
    rows: Sequence[Row],
    summaries: Sequence[Summary],
    size: tuple[int, int],
    say: Callable[[str], Any],
) -> str:
    methods, data = list(chosen.methods), page.data
    runs = {label: run for run, label in chosen.labels.items()}
    where = settings.environments(runs)
    notes = remarks(chosen) + where.remarks + [s.problem for s in summaries if s.problem]
    for note in notes:
        say(note)
    colours = {run: place for place, same in enumerate(chosen.methods.values()) for run in same}
    lines = [(label, colours[run], chosen.curves[run]) for label, run in runs.items()]
    charts, more = curves.charts(lines, asked.width)
    recipes = {label: chosen.recipes[run] for label, run in runs.items()}
    # Of a scene's pictures the image is number 0, then come the networks, then the labels.
    first, last = chosen.compared or (len(page.networks), methods.index(chosen.students[0]))
    return rendered(
        "report.html",
        title=", ".join(methods),
        asked=asked,
        count=len(data),
        unit=page.view.unit(asked.width),
        scales=_scales(rows, chosen),
        data_name=type(data).__name__,
        remarks=notes,
        overview=_overview(rows, summaries, chosen.students),
        methods=methods,
        students=chosen.students,
        classes=list(zip(data.classes, data.palette, strict=True)),
        charts=charts,
        more_charts=more,
        frame=curves,
        measures=[
            *measures(rows, data.classes, data.palette, chosen.compared),
            *of_sizes(rows, chosen.compared),
        ],
        thick=THICK,
        confusion=page.view.truth == "labels",
        matrices=matrices(rows, data.classes),
        scenes=pictures,
        before=first + 1,
        after=last + 1,
        recipes=settings.recipe_sheet(recipes),
        recipe_texts=settings.recipe_texts(recipes),
        shared=where.shared,
        environment=where.sheet,
        cost=_cost(summaries),
        cost_notes=model.notes(summaries, size),
    )


def _scales(rows: Sequence[Row], chosen: Chosen) -> str:
    """What has to be said of the scores by outline and by size."""
    said = []
    if any(name.startswith("trimap") for name in score_names(rows)):
        said.append("Trimap: IoU within so many pixels of an outline.")
    if sizes := sizes_said(next(iter(chosen.recipes))):
        said.append(f"{sizes.removeprefix('; ').capitalize()}.")
    return " ".join(said)


def _overview(rows: Sequence[Row], summaries: Sequence[Summary], students: Sequence[str]) -> Sheet:
    """A line a method: scores in per cent, and what it costs."""
    names = score_names(rows)
    table = sheet("", header(rows), [row.cells(names) for row in rows])
    mark_best(
        table,
        range(1, len(names) + 1),
        [place for place, row in enumerate(rows) if row.name in students],
    )
    for line, summary in zip(table.rows, summaries, strict=True):
        text = summary.cell("multiply_adds", "total")
        line.insert(-1, Cell(text, as_number(text)))
    table.header = [*table.header[:-1], "multiply-adds", table.header[-1]]
    return table


def _cost(summaries: Sequence[Summary]) -> Sheet:
    """What networks cost, part by part."""
    (_, *names), *lines = model.rows(summaries)
    table = sheet("", ["", *names], lines)
    table.sortable = False
    return table
