"""Runs side by side in a table: on the terminal, as Markdown, as CSV."""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, stdev

from bpkd.inference.predictor import classes_at, recipe_at
from bpkd.metrics.measures import Scores, scalars
from bpkd.recipe.instance import InstanceEvaluation
from bpkd.support.columns import Columns
from bpkd.support.files import replacing_csv

COLUMNS = {
    "mIoU": "mIoU",
    "mAcc": "mAcc",
    "trimap_mIoU@1": "trimap 1 px",
    "trimap_mIoU@3": "trimap 3 px",
    "trimap_mIoU@5": "trimap 5 px",
    "boundary_mIoU": "boundary IoU",
    "AP": "AP",
    "AP50": "AP50",
    "AP75": "AP75",
    "APs": "AP small",
    "APm": "AP medium",
    "APl": "AP large",
    "boundary_AP": "boundary AP",
}


@dataclass
class Row:
    """A method and the scores of its runs, one a seed.

    Attributes:
        name: what the table calls it.
        scores: as :func:`bpkd.inference.evaluation.evaluate` gives them.
    """

    name: str
    scores: list[Scores]

    def cells(self, names: Sequence[str] | None = None) -> list[str]:
        """The row as text.

        Args:
            names: of the scores, a column each; None: those that it has. Where a run was not
                measured so, as with another trimap, stands a dash.

        Example:
            >>> Row("plain", [{"mIoU": 0.5, "parameters": 2e6, "milliseconds": 3.0}]).cells()
            ['plain', '50.0', '2.00 M', '3.0']
        """
        cells = [self.name]
        for name in self.names() if names is None else names:
            measured = all(name in scores for scores in self.scores)
            values = [100 * scores[name] for scores in self.scores] if measured else []
            cells.append(spread(values) if values else "-")
        first = self.scores[0]
        cells.append(f"{first['parameters'] / 1e6:.2f} M")
        cells.append(f"{mean(s['milliseconds'] for s in self.scores):.1f}")
        if "megabytes" in first:
            cells.append(f"{mean(s['milliseconds_1'] for s in self.scores):.1f}")
            cells.append(f"{first['megabytes']:.2f}")
        return cells

    def names(self) -> list[str]:
        """The scores that it has a column for."""
        return [name for name in COLUMNS if name in self.scores[0]]

    def header(self) -> list[str]:
        """The names of the columns."""
        return header([self])


def spread(values: Sequence[float]) -> str:
    """Mean, and the standard deviation where there are several.

    Example:
        >>> spread([50.0]), spread([49.0, 51.0]), spread([math.nan])
        ('50.0', '50.0 ± 1.4', '-')
    """
    if any(map(math.isnan, values)):  # there is none of that size, say
        return "-"
    text = f"{mean(values):.1f}"
    return text if len(values) == 1 else f"{text} ± {stdev(values):.1f}"


def sizes_said(run: str | Path, *overrides: str) -> str:
    """What a table's title has to say of small and large, where they are not COCO's; else nothing.

    Args:
        run: the folder of a run.
        overrides: of its recipe, that it is measured with.
    """
    evaluation = recipe_at(Path(run), overrides).evaluation
    if not isinstance(evaluation, InstanceEvaluation) or evaluation.size_limits == (32, 96):
        return ""
    medium, large = evaluation.size_limits
    return f"; medium from {medium}², large from {large}² pixels"


def terminal(rows: Sequence[Row], title: str) -> Columns:
    """For the terminal; single runs fit into 80 characters."""
    first, *others = header(rows)
    titles = [first, *(name.replace(" ", "\n") for name in others)]
    return Columns(titles, [row.cells(score_names(rows)) for row in rows], title)


def markdown(rows: Sequence[Row]) -> str:
    """A table for a Markdown page."""
    titles = header(rows)
    lines = [
        titles,
        ["---"] + ["---:"] * (len(titles) - 1),
        *(row.cells(score_names(rows)) for row in rows),
    ]
    return "".join("| " + " | ".join(line) + " |\n" for line in lines)


def write_csv(rows: Sequence[Row], file: Path) -> None:
    """A table for a spreadsheet: every mean of every run, a line a run, in full precision."""
    names = list(dict.fromkeys(n for row in rows for scores in row.scores for n in scalars(scores)))
    with replacing_csv(file) as stream:
        writer = csv.writer(stream)
        writer.writerow(["run", *names])
        for row in rows:
            writer.writerows(
                [row.name, *(scores.get(n, "") for n in names)] for scores in row.scores
            )


def by_class(run: Path, scores: Scores) -> Columns:
    """One run's, or file's, scores, a row a class."""
    return class_rows(classes_at(run), scores)


def class_rows(classes: Sequence[str], scores: Scores) -> Columns:
    """Scores, a row a class."""
    lists = {name: values for name, values in scores.items() if isinstance(values, list)}
    lists.pop("confusion", None)  # a row and a column a class
    header = ["class", *(name.replace("_", "\n").replace("@", "\n@ ") for name in lists)]
    rows = []
    for index, label in enumerate(classes):
        cells = (100 * values[index] for values in lists.values())
        rows.append([label, *("-" if math.isnan(cell) else f"{cell:.1f}" for cell in cells)])
    return Columns(header, rows, "by class, %")


def score_names(rows: Sequence[Row]) -> list[str]:
    """The scores that any of the rows has a column for."""
    return [name for name in COLUMNS if any(name in row.names() for row in rows)]


def header(rows: Sequence[Row]) -> list[str]:
    """The names of the columns."""
    runs = max(len(row.scores) for row in rows)
    method = "run" if runs == 1 else f"mean ± spread of {runs} seeds"
    more = ["ms, 1 thread", "MB"] if "megabytes" in rows[0].scores[0] else []
    return [
        method,
        *(COLUMNS[name] for name in score_names(rows)),
        "parameters",
        "ms per image",
        *more,
    ]
