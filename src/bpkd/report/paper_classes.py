"""Runs of one pair on one data set, measured by trimap IoU class by class."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from statistics import mean
from typing import TYPE_CHECKING, Any

from bpkd.datasets.classes_file import read_classes
from bpkd.errors import UserError
from bpkd.report.paper import check_classes, measured
from bpkd.report.paper_numbers import METHODS
from bpkd.report.paper_runs import differences, finished_runs

if TYPE_CHECKING:
    from bpkd.metrics.measures import Scores

#: The line below the classes, as the paper calls it.
AVERAGE = "average"


@dataclass
class Trimap:
    """Runs of one pair on one data set, for the table class by class.

    Attributes:
        classes: their names.
        scores: by method, one a run.
        problems: why other runs are left out, and in what these differ from their rows' recipes.
    """

    classes: list[str] = field(default_factory=list)
    scores: dict[str, list[Scores]] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    def widths(self) -> list[int]:
        """The band widths at which all runs are measured."""
        every = [
            {int(key.partition("@")[2]) for key in run if key.startswith("trimap_mIoU@")}
            for runs in self.scores.values()
            for run in runs
        ]
        return sorted(set.intersection(*every)) if every else []

    def values(self, method: str, width: int, label: str) -> list[float]:
        """Per cent of one class, or of their average, one a run."""
        runs = self.scores.get(method, [])
        if label == AVERAGE:
            return [100 * run[f"trimap_mIoU@{width}"] for run in runs]
        index = self.classes.index(label)
        return [100 * run[f"trimap_IoU@{width}"][index] for run in runs]

    def nearest(self, averages: dict[str, float]) -> int:
        """The width at which the averages come nearest to published ones, by method."""
        shared = [method for method in averages if method in self.scores]

        def apart(width: int) -> float:
            found = {method: mean(self.values(method, width, AVERAGE)) for method in shared}
            return sum(abs(found[method] - averages[method]) for method in shared)

        widths = self.widths()
        return min(widths, key=apart) if shared else (3 if 3 in widths else widths[0])


def trimap(
    runs: Path, data: str, pair: str, wanted: list[str], progress: Callable[[Any], Any] = iter
) -> Trimap:
    """Measure the runs of one pair on one data set.

    Args:
        runs: folder that holds runs as DATA/PAIR/METHOD or METHOD-SEED.
        data, pair: names of the recipes' folders.
        wanted: the classes that they must have; empty: those of the first run.
        progress: wraps each run's evaluation, e.g. to draw a bar.
    """
    found = Trimap(classes=wanted)
    for method in METHODS:
        for run in finished_runs(runs / data / pair, method):
            try:
                check_classes(run, data)
                classes = read_classes(run)[0]
                _check_alike(classes, found.classes or classes)
                scores = measured(run, progress)
                if not any(key.startswith("trimap_mIoU@") for key in scores):
                    raise UserError("it is not measured by trimap IoU; its task is another")
                other = differences(run, f"table2/{data}/{pair}/{method}")
            except UserError as error:
                found.problems.append(f"{run} is left out: {error}")
                continue
            found.classes = classes
            found.scores.setdefault(method, []).append(scores)
            if other:
                found.problems.append(f"{run} differs from its row's recipe: {other}")
    return found


def _check_alike(classes: list[str], others: list[str]) -> None:
    """Refuse a run that has no place in a table of these classes."""
    missing = [name for name in others if name not in classes]
    if missing:
        raise UserError(f"it has no class {missing[0]!r}; its classes are others")
    if classes != others:
        raise UserError("its classes are others, or in another order")
