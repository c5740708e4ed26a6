"""Why one run is better than another: where each one's errors lie."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from bpkd.datasets.building import build_data
from bpkd.datasets.loading import eval_loader
from bpkd.errors import UserError
from bpkd.inference.windows import build_inference
from bpkd.metrics.outline_errors import (
    DISTANCES,
    THICKNESSES,
    OutlineErrors,
    calibration_error,
    outline_errors,
)
from bpkd.networks.class_map import aligned
from bpkd.recipe.schema import Recipe
from bpkd.report.compare import names_of, recipes_of
from bpkd.report.figures import check_label_maps
from bpkd.runs.data import as_measured
from bpkd.runs.loading import load
from bpkd.support.columns import Columns
from bpkd.support.files import replacing_csv
from bpkd.training.teachers import build_teacher

ZONES = ("within 2 px", "away")


@dataclass
class Analysis:
    """Counts of one method, over all its runs.

    Attributes:
        name: of the method.
        classes: their names.
        errors: counts, of its runs added.
        taught: whether each run's teacher was there to be compared with.
    """

    name: str
    classes: list[str]
    errors: OutlineErrors
    taught: bool


def analyse(
    runs: Sequence[str | Path],
    *overrides: str,
    split: str = "val",
    progress: Callable[[Any], Any] = iter,
    say: Callable[[str], Any] = print,
) -> list[Analysis]:
    """Count where runs are wrong; runs that differ in their seed alone are added.

    Args:
        runs: folders of runs on one data set.
        overrides: ``key=value``, dotted, for all of them.
        split: train, val or test.
        progress: wraps each loader, e.g. to draw a bar.
        say: told in a line of a teacher that is not there.

    Raises:
        UserError: a folder is no run, the runs have different classes, or a task without label
            maps.
    """
    recipes = recipes_of(runs, overrides)
    found: dict[str, Analysis] = {}
    for run, name in names_of(recipes).items():
        one = _of_run(run, name, recipes[run], split, progress, say)
        before = found.get(name)
        if before is not None:
            one.errors, one.taught = before.errors + one.errors, before.taught and one.taught
        found[name] = one
    return list(found.values())


def _of_run(
    run: Path,
    name: str,
    recipe: Recipe,
    split: str,
    progress: Callable[[Any], Any],
    say: Callable[[str], Any],
) -> Analysis:
    as_measured(run, recipe.data)
    data = build_data(recipe, split)
    check_label_maps(data)
    network = load(run)
    own: list[str] = network.classes  # type: ignore[assignment]
    network = aligned(network, data.classes, own, str(run))
    teacher: nn.Module | None = None
    try:
        teacher = build_teacher(recipe, data.classes)
    except UserError as error:
        say(f"{run}: without its teacher: {error}")
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    infer = build_inference(recipe.evaluation)
    total: OutlineErrors | None = None
    loader = eval_loader(data, batch_size=1, workers=recipe.workers)
    for images, labels in progress(loader):
        part = _counted(network.to(device), teacher, infer, images.to(device), labels, data)
        total = part if total is None else total + part
    if total is None or not int(total.by_distance.sum()):
        raise UserError(f"no pixel of the split {split!r} has a label; take another split")
    return Analysis(name, list(data.classes), total, teacher is not None)


@torch.inference_mode()
def _counted(
    network: nn.Module,
    teacher: nn.Module | None,
    infer: Callable[[nn.Module, Tensor], Tensor],
    images: Tensor,
    labels: Tensor,
    data: Any,
) -> OutlineErrors:
    probabilities = infer(network.eval(), images).float().softmax(dim=1)
    theirs = None
    if teacher is not None:
        theirs = infer(teacher.to(images.device).eval(), images).argmax(dim=1)
    return outline_errors(probabilities, labels.to(images.device), theirs, data.ignore_index)


def rows_of(analysis: Analysis) -> Iterator[tuple[str, str, str, float]]:
    """Every number of a method: table, bin, quantity, value; shares as per cent.

    ``distance``: pixels, ``wrong``, and with a teacher ``teacher wrong``, ``agree`` with it,
    ``wrong where teacher right`` and ``right where teacher wrong``; ``thickness``: the same of the
    student alone; ``calibration``: ECE near outlines and away.
    """
    errors = analysis.errors
    for index, label in enumerate(DISTANCES):
        (wrong_wrong, wrong_right), (right_wrong, right_right) = errors.by_distance[index].tolist()
        pixels = wrong_wrong + wrong_right + right_wrong + right_right
        yield "distance", label, "pixels", pixels
        yield "distance", label, "wrong", _share(wrong_wrong + wrong_right, pixels)
        if analysis.taught:
            unsure, sure = wrong_wrong + right_wrong, wrong_right + right_right
            yield "distance", label, "teacher wrong", _share(unsure, pixels)
            yield "distance", label, "agree", _share(int(errors.agreement[index]), pixels)
            yield "distance", label, "wrong where teacher right", _share(wrong_right, sure)
            yield "distance", label, "right where teacher wrong", _share(right_wrong, unsure)
    for index, label in enumerate(THICKNESSES):
        wrong, right = errors.by_thickness[index].tolist()
        yield "thickness", label, "pixels", wrong + right
        yield "thickness", label, "wrong", _share(wrong, wrong + right)
    for index, label in enumerate(ZONES):
        yield "calibration", label, "ECE", 100 * calibration_error(errors.confidence[index])
    for zone, true, predicted, pixels in _pairs(analysis):
        yield f"pairs {zone}", f"{true} -> {predicted}", "pixels", pixels


def _share(part: float, whole: float) -> float:
    return 100 * part / whole if whole else float("nan")


def _pairs(analysis: Analysis) -> Iterator[tuple[str, str, str, int]]:
    """The pairs of classes that are mistaken for each other, most pixels first."""
    names = analysis.classes
    for zone, matrix in zip(ZONES, analysis.errors.pairs, strict=True):
        off = matrix.clone()
        off.fill_diagonal_(0)
        for place in off.flatten().argsort(descending=True, stable=True).tolist():
            true, predicted = divmod(place, len(names))
            if pixels := int(off[true, predicted]):
                yield zone, names[true], names[predicted], pixels


def tables(found: Sequence[Analysis], pairs: int = 5) -> Iterator[Columns]:
    """For the terminal: shares by distance, by thickness, calibration; the commonest mistakes."""
    every = {one.name: list(rows_of(one)) for one in found}
    for table, bins, quantity, title in _SHOWN:
        rows = [
            [name, *(_cell(rows, table, label, quantity) for label in bins)]
            for name, rows in every.items()
        ]
        if any(cell != "-" for row in rows for cell in row[1:]):
            yield Columns(["%", *bins], rows, title)
    for zone in ZONES:
        rows = [
            [one.name, f"{true} -> {predicted}", f"{pixels:,}"]
            for one in found
            for _, true, predicted, pixels in [p for p in _pairs(one) if p[0] == zone][:pairs]
        ]
        yield Columns(["run", "taken for", "pixels"], rows, f"commonest mistakes, {zone}")


_SHOWN: tuple[tuple[str, Sequence[str], str, str], ...] = (
    ("distance", DISTANCES, "wrong", "wrong, by distance to the outline in px"),
    ("distance", DISTANCES, "teacher wrong", "its teacher wrong, by distance"),
    ("distance", DISTANCES, "agree", "agrees with its teacher, by distance"),
    ("distance", DISTANCES, "wrong where teacher right", "wrong where its teacher is right"),
    ("distance", DISTANCES, "right where teacher wrong", "right where its teacher is wrong"),
    ("thickness", THICKNESSES, "wrong", "wrong, by thickness of the object in px"),
    ("calibration", ZONES, "ECE", "calibration error (ECE), near outlines and away"),
)


def _cell(
    rows: Sequence[tuple[str, str, str, float]], table: str, label: str, quantity: str
) -> str:
    values = [v for t, b, q, v in rows if (t, b, q) == (table, label, quantity)]
    return f"{values[0]:.1f}" if values and values[0] == values[0] else "-"  # nan is not itself


def write_csv(found: Sequence[Analysis], file: Path) -> None:
    """Every number, a line each: run, table, bin, quantity, value."""
    with replacing_csv(file) as stream:
        writer = csv.writer(stream)
        writer.writerow(["run", "table", "bin", "quantity", "value"])
        for one in found:
            writer.writerows([one.name, *row] for row in rows_of(one))


def by_quantity(analysis: Analysis) -> Mapping[tuple[str, str, str], float]:
    """The numbers of :func:`rows_of` by table, bin and quantity."""
    return {(table, label, quantity): v for table, label, quantity, v in rows_of(analysis)}
