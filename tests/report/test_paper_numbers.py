"""Published numbers: the package's, and a file of the reader's own."""

from __future__ import annotations

from pathlib import Path

import pytest

from bpkd import UserError
from bpkd.report.paper_layout import pairs_and_methods
from bpkd.report.paper_numbers import LIST, networks, read_numbers
from tests.commands import done, refused

OWN = """# Table 2 of the paper

data,pair,method,mIoU,mAcc
ade20k,hrnet,cwd,31.5,41
ade20k,hrnet,bpkd,33.25,
"""


def own(folder: Path, content: str = OWN) -> Path:
    (folder / "own.csv").write_text(content)
    return folder / "own.csv"


def test_the_package_has_every_row_and_says_where_from() -> None:
    source, numbers = read_numbers(LIST)
    assert "github.com/AkideLiu/BPKD" in source and "80k" in source
    assert len(numbers) == 3 * 4 * 7  # all methods but the second of the two BPKDs
    assert all(set(row) == {"mIoU", "mAcc"} for row in numbers.values())
    assert networks()["hrnet", "student"]["parameters"] == "3.97"


def test_numbers_of_a_reader_stand_in_the_table(tmp_path: Path) -> None:
    (grid,) = pairs_and_methods("2", None, ["ade20k"], own(tmp_path))
    cells = [row[3::3] for row in grid.rows]
    assert cells.count(["31.50", "41.00"]) == 1
    assert cells.count(["33.25", "-"]) == 2  # BPKD in two settings
    assert cells.count(["-", "-"]) == 32 - 3
    assert grid.note.startswith("published: Table 2 of the paper.")


def test_a_file_without_a_comment_is_its_own_source(tmp_path: Path) -> None:
    file = own(tmp_path, OWN.partition("\n")[2])
    assert pairs_and_methods("2", None, ["ade20k"], file)[0].note.startswith(f"published: {file}.")


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ("ade20k,hrnt,cwd,1,2", "pair 'hrnt'; did you mean 'hrnet'"),
        ("ade,hrnet,cwd,1,2", "data 'ade'"),
        ("ade20k,hrnet,cwd,31.5%,2", "ade20k/hrnet/cwd: expected per cent, got 31.5%, 2"),
        ("ade20k,hrnet,cwd,0.75,0.8", "ade20k/hrnet/cwd: expected per cent, got 0.75, 0.8"),
        ("ade20k,hrnet,cwd,31,42\nade20k,hrnet,cwd,31,43", "twice"),
        ("", "no row"),
    ],
)
def test_wrong_lines(tmp_path: Path, wrong: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        read_numbers(own(tmp_path, f"data,pair,method,mIoU,mAcc\n{wrong}\n"))


def test_wrong_files(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no column mIoU or mAcc"):
        read_numbers(own(tmp_path, "data,pair,method,miou\nade20k,hrnet,cwd,31\n"))
    with pytest.raises(UserError, match="no column pair"):
        read_numbers(own(tmp_path, "data,method,mIoU\nade20k,cwd,2\n"))
    for file in (tmp_path / "none.csv", tmp_path):
        with pytest.raises(UserError, match="no readable CSV file"):
            read_numbers(file)


def test_the_command(tmp_path: Path) -> None:
    words = ["table", "2", "--data", "ade20k", "--published", own(tmp_path)]
    assert "33.25" in done(*words)
    assert "no use for --published" in refused("table", "3", "--published", own(tmp_path))
    assert "no use for --pair" in refused("table", "2", "--pair", "hrnet")
    assert "no use for --width" in refused("table", "80k", "--width", "5")
