"""Tables: rows, means and spreads, and the forms they come in."""

from __future__ import annotations

import csv
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from rich.console import Console

from bpkd.datasets.classes_file import write_classes
from bpkd.report.table import Row, by_class, markdown, spread, terminal, write_csv


def scores(miou: float, **more: Any) -> dict[str, Any]:
    first = {"mIoU": miou, "mAcc": 0.75, "IoU": [miou, float("nan")]}
    edges = {f"trimap_mIoU@{width}": 0.5 for width in (1, 3, 5)}
    last = {"boundary_mIoU": 0.25, "parameters": 1_250_000, "milliseconds": 4.0}
    return {**first, **edges, **last, **more}


def text(table: Any, width: int = 200) -> list[str]:
    console = Console(width=width, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    console.print(table)
    return [line.rstrip() for line in console.export_text().splitlines()]


def test_spread_is_the_sample_standard_deviation() -> None:
    assert spread([1.0, 2.0, 3.0, 4.0]) == "2.5 ± 1.3"  # sqrt(5 / 3)


def test_cells_are_means_over_the_runs_of_a_row() -> None:
    row = Row("cwd", [scores(0.40, milliseconds=3.0), scores(0.50, milliseconds=4.0)])
    assert row.cells()[:3] == ["cwd", "45.0 ± 7.1", "75.0 ± 0.0"]
    assert row.cells()[-2:] == ["1.25 M", "3.5"]
    assert row.header()[0] == "mean ± spread of 2 seeds"


def test_measures_that_were_not_taken_have_no_column() -> None:
    row = Row("a", [{"mIoU": 0.5, "parameters": 1e6, "milliseconds": 1.0}])
    assert row.header() == ["run", "mIoU", "parameters", "ms per image"]
    assert len(row.cells()) == 4


def test_markdown() -> None:
    lines = markdown([Row("plain", [scores(0.4)]), Row("bpkd", [scores(0.5)])]).splitlines()
    assert lines[0].startswith("| run | mIoU | mAcc | trimap 1 px |")
    assert lines[1].startswith("| --- | ---: |")
    assert lines[3].startswith("| bpkd | 50.0 | 75.0 | 50.0 |")
    assert len({line.count("|") for line in lines}) == 1


def test_a_table_of_single_runs_fits_into_80_columns() -> None:
    rows = [Row("plain", [scores(0.4)]), Row("[own] name", [scores(0.5)])]
    lines = text(terminal(rows, "on test, %"), width=80)
    assert all("…" not in line for line in lines)
    found = next(line for line in lines if "[own] name" in line)
    assert found.split()[2:] == ["50.0", "75.0", "50.0", "50.0", "50.0", "25.0", "1.25", "M", "4.0"]


def test_by_class(tmp_path: Path) -> None:
    data = SimpleNamespace(classes=["road", "[red] car"], palette=[(0, 0, 0), (1, 1, 1)])
    write_classes(tmp_path, data)
    lines = text(by_class(tmp_path, scores(0.4)))
    assert next(line for line in lines if "road" in line).split() == ["road", "40.0"]
    assert next(line for line in lines if "car" in line).split() == ["[red]", "car", "-"]


def test_csv_has_every_run_in_full(tmp_path: Path) -> None:
    third = 1 / 3
    write_csv([Row("a", [scores(third), scores(0.5)]), Row("b", [scores(0.1)])], tmp_path / "t.csv")
    with (tmp_path / "t.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["run"] for row in rows] == ["a", "a", "b"]
    assert float(rows[0]["mIoU"]) == third
    assert "IoU" not in rows[0]
    assert float(rows[2]["boundary_mIoU"]) == 0.25
