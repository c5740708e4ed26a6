"""``bpkd table later``: what is published of the methods after BPKD, and what students do alone."""

from __future__ import annotations

import csv
from pathlib import Path

from bpkd.report.later import later
from bpkd.report.paper_numbers import PACKAGED, read_rows
from tests.commands import done, refused


def test_each_line_of_the_list_is_in_one_grid() -> None:
    grids = later()
    rows = read_rows(PACKAGED / "later.csv")[1]
    assert sum(len(grid.rows) for grid in grids) == len(rows)
    assert [grid.title for grid in grids] == [
        "Cityscapes, mIoU",
        "COCO, mask AP",
        "COCO, box AP",
    ]
    for row in rows:
        assert row["method"] and row["student"] and row["protocol"]
        assert 30 < float(row["published"]) < 100
        assert all(not row[key] or float(row[key]) < 100 for key in ("quoted", "rerun"))


def test_gains_over_the_quoted_and_the_rerun_student() -> None:
    lines = done("table", "later", "--data", "cityscapes", "--markdown").splitlines()
    (row,) = (line for line in lines if line.startswith("| KT ") and "DeepLabV3-R18" in line)
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    assert cells[3:8] == ["74.21", "76.2", "77.98", "+3.77", "+1.78"]
    assert not any(line.startswith("| FGD") for line in lines)
    assert lines[-1].startswith("published: what the authors' repositories state")


def test_a_spreadsheet_and_what_it_has_no_use_for(tmp_path: Path) -> None:
    done("table", "later", "--csv", tmp_path / "later.csv")
    with (tmp_path / "later.csv").open(newline="") as stream:
        assert len(list(csv.DictReader(stream))) == len(read_rows(PACKAGED / "later.csv")[1])
    assert "no use for --runs" in refused("table", "later", "--runs", tmp_path)
    assert "nothing of 'ade20k'; " in refused("table", "later", "--data", "ade20k")
    assert "did you mean 'later'?" in refused("table", "latr")
