"""Table 4 of the paper: instance segmentation with SOLOv2 on COCO."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from bpkd.report.paper import Line, check_folder, fill
from bpkd.report.paper_grid import Grid, beside, record
from bpkd.report.paper_numbers import AP_MEASURES, instance_numbers
from bpkd.report.paper_runs import finished_runs, passed_over

TITLES = {"teacher": "T: SOLOv2-X101", "plain": "S: SOLOv2-R18", "cwd": "CWD", "bpkd": "BPKD"}
#: The paper's names of AP by size -> those of a run's scores.
SCORES = {"AP_S": "APs", "AP_M": "APm", "AP_L": "APl"}
NOTE = "Mask AP. Δ: ours minus published."


def instances(runs: Path | None, progress: Callable[[Any], Any] = iter) -> Grid:
    """Table 4.

    Args:
        runs: folder that holds runs as METHOD or METHOD-SEED; None for the published numbers.
        progress: wraps each run's evaluation, e.g. to draw a bar.

    Raises:
        UserError: no such folder.
    """
    source, numbers = instance_numbers()
    lines = [
        Line("coco", "solov2", method, TITLES[method], published=published)
        for method, published in numbers.items()
    ]
    warnings: list[str] = []
    if runs is not None:
        from bpkd.recipe.files import shipped_recipes  # noqa: PLC0415

        check_folder(runs)
        for line in lines:
            recipe = f"table4/{line.method}"
            shipped = recipe if recipe in shipped_recipes() else None
            fill(line, finished_runs(runs, line.method), AP_MEASURES, shipped, progress, SCORES)
            warnings += line.problems
        warnings += passed_over(runs, numbers)
        if not warnings and not any(line.runs for line in lines):
            warnings = [f"no run in {runs}: a row is looked for in {runs / 'bpkd'}"]
    rows = [
        [line.title, *(cell for m in AP_MEASURES for cell in _cells(line, m))] for line in lines
    ]
    header = ["", *(name for measure in AP_MEASURES for name in (measure, "ours", "Δ"))]
    note = f"published: {source}. {NOTE}"
    return Grid("COCO: SOLOv2, mask AP", header, rows, (), note, _records(lines), warnings)


def _cells(line: Line, measure: str) -> tuple[str, str, str]:
    return beside(line.published.get(measure), line.ours.get(measure, []))


def _records(lines: list[Line]) -> list[dict[str, Any]]:
    found = []
    for line in lines:
        row: dict[str, Any] = {"data": line.data, "pair": line.pair, "method": line.method}
        for measure in AP_MEASURES:
            row |= record(measure, line.published.get(measure), line.ours.get(measure, []))
        found.append(row | {"runs": len(line.runs)})
    return found
