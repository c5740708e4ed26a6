"""Table 3 of the paper: trimap IoU class by class, and which band it may have been measured in."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bpkd.errors import UserError
from bpkd.report.paper import check_folder, check_names
from bpkd.report.paper_classes import AVERAGE, Trimap, trimap
from bpkd.report.paper_grid import Grid, beside, record
from bpkd.report.paper_numbers import DATA, METHODS, TABLES, trimap_numbers
from bpkd.report.paper_runs import passed_over

#: What the paper's table is of.
PAPER = ("cityscapes", "pspnet")


def by_class(
    runs: Path | None,
    data: str,
    pair: str,
    width: int | None = None,
    progress: Callable[[Any], Any] = iter,
) -> list[Grid]:
    """Table 3: trimap IoU class by class; then the averages at each width of the band.

    The paper does not state the width. Where none is asked for, it is the one at which the runs'
    averages come nearest to the paper's.

    Args:
        runs: folder that holds runs as DATA/PAIR/METHOD or METHOD-SEED; None for the published
            numbers alone.
        data, pair: names of the recipes' folders.
        width: of the band, in pixels.
        progress: wraps each run's evaluation, e.g. to draw a bar.

    Raises:
        UserError: no such data set, pair or folder; nothing published and no run to show; runs
            that are not measured at this width.
    """
    check_names([data], DATA, "data set")
    check_names([pair], TABLES["2"].pairs, "pair")
    source, published = trimap_numbers() if (data, pair) == PAPER else ("", {})
    found = Trimap(classes=[name for name in published if name != AVERAGE])
    if runs is not None:
        check_folder(runs)
        found = trimap(runs, data, pair, found.classes, progress)
        found.problems += passed_over(runs / data / pair)
    if not found.scores:
        why = f"train e.g. table2/{data}/{pair}/bpkd"
        why = f"no finished run in {runs}/{data}/{pair}: {(found.problems or [why])[0]}"
        if not published:
            alone = f"the paper has Table 3 of {' and '.join(PAPER)} alone; give --runs"
            raise UserError(alone if runs is None else why)
        found.problems = [] if runs is None else found.problems or [why]
    return _Table(found, published, source, data, pair).grids(width)


@dataclass
class _Table:
    """Runs beside the published numbers."""

    found: Trimap
    published: dict[str, dict[str, float]]
    source: str
    data: str
    pair: str

    def grids(self, width: int | None) -> list[Grid]:
        """One by class at a width, and one of the averages at every width."""
        title = f"{DATA[self.data]}, {self.pair}: trimap IoU"
        note = f"published: {self.source}. Δ: ours minus published." if self.source else ""
        if not self.found.scores:
            grid = self._grid(title, [*self.found.classes, AVERAGE], [None], note)
            grid.warnings = self.found.problems
            return [grid]
        widths = self.found.widths()
        nearest = self.found.nearest(self.published.get(AVERAGE, {}))
        at = nearest if width is None else width
        if at not in widths:
            known = ", ".join(map(str, widths))
            raise UserError(f"not all runs are measured at trimap width {at}; all are at {known}")
        if self.source:
            note += (
                " The paper does not state the width of its band: of "
                f"{', '.join(map(str, widths))} px, our averages come nearest to its own at "
                f"{nearest}."
            )
        grids = [
            self._grid(f"{title} at {at} px", [*self.found.classes, AVERAGE], [at], note),
            self._grid(f"{title}, average by width", [AVERAGE], widths, note),
        ]
        grids[0].warnings = self.found.problems
        return grids

    def _grid(
        self, title: str, labels: Sequence[str], widths: Sequence[int | None], note: str
    ) -> Grid:
        """A row a class and width."""
        header, printed = ["class"], self.published.get(AVERAGE, {})
        for method in self._methods():
            header += [method, "ours", "Δ"] if method in printed else [f"{method}, ours"]
        rows, records = [], []
        for label in labels:
            for width in widths:
                rows.append([label if len(widths) == 1 else f"{width} px"])
                records.append({"data": self.data, "pair": self.pair, "class": label})
                records[-1]["width"] = "" if width is None else str(width)
                for method in self._methods():
                    theirs = self.published.get(label, {}).get(method)
                    ours = [] if width is None else self.found.values(method, width, label)
                    cells = beside(theirs, ours)
                    rows[-1] += cells if method in printed else cells[1:2]
                    records[-1] |= record(method, theirs, ours)
        breaks = {len(rows) - 2} if len(widths) == 1 else ()
        return Grid(title, header, rows, breaks, note, records)

    def _methods(self) -> list[str]:
        printed = self.published.get(AVERAGE, {})
        return [name for name in METHODS if name in self.found.scores or name in printed]
