"""Published numbers: the package's, and a file of the reader's own."""

from __future__ import annotations

from pathlib import Path

import pytest

from bpkd import UserError
from bpkd.report.paper_gains import gains
from bpkd.report.paper_layout import pairs_and_methods
from bpkd.report.paper_numbers import (
    PACKAGED,
    TABLES,
    instance_numbers,
    networks,
    read_numbers,
    read_rows,
    trimap_numbers,
)
from tests.commands import done, refused

OWN = """# Table 2 of the paper

data,pair,method,mIoU,mAcc
ade20k,hrnet,cwd,31.5,41
ade20k,hrnet,bpkd,33.25,
"""


def own(folder: Path, content: str = OWN) -> Path:
    (folder / "own.csv").write_text(content)
    return folder / "own.csv"


COPIES = Path(__file__).parent / "published"  # typed off the supplement, apart from the package


@pytest.mark.parametrize("name", [f"table{number}.csv" for number in (1, 2, 3, 4)])
def test_the_package_has_the_numbers_of_the_supplement(name: str) -> None:
    source, rows = read_rows(PACKAGED / name)
    assert rows == read_rows(COPIES / name)[1]
    assert source.startswith(f"Table {name[5]} of the paper's supplement") and len(rows) > 3


@pytest.mark.parametrize(
    ("number", "rows", "words"),
    [("1", 7, "Table 1"), ("2", 3 * 4 * 7, "Table 2"), ("80k", 3 * 4 * 7, "AkideLiu/BPKD")],
)
def test_the_tables_have_every_row_and_say_where_from(number: str, rows: int, words: str) -> None:
    table = TABLES[number]
    source, numbers = read_numbers(table.file)
    assert words in source
    assert len(numbers) == rows  # all methods but the second of the two BPKDs
    assert all(set(row) == {"mIoU", "mAcc"} for row in numbers.values())
    assert {key[:2] for key in numbers} == {(d, p) for d in table.data for p in table.pairs}


def test_sizes_are_those_of_table_2() -> None:
    for row in read_rows(PACKAGED / "table2.csv")[1]:
        size = networks()[row["pair"], "teacher" if row["method"] == "teacher" else "student"]
        assert float(size["parameters"]) == float(row["Mparameters"])
        assert float(size["multiply_adds"]) == float(row["GFLOPs"])


def test_numbers_of_classes_and_instances() -> None:
    source, classes = trimap_numbers()
    assert "band width not stated" in source
    assert len(classes) == 20 and classes["average"] == {
        "plain": 55.34,
        "cwd": 57.34,
        "bpkd": 62.91,
    }
    # The printed average is a hundredth off its classes.
    own = [values["bpkd"] for name, values in classes.items() if name != "average"]
    assert sum(own) / 19 == pytest.approx(62.90, abs=0.005)
    assert instance_numbers()[1]["cwd"]["AP_L"] == 44.2


def test_gains_stand_beside_what_the_text_says() -> None:
    cityscapes, ade20k, context = gains("2")
    assert cityscapes.rows[0] == ["PSPNet-R18", "+6.95", "+10.07 %", "+1.65", "+2.22 %"]
    assert cityscapes.rows[-1][1] == "10.07, 3.78, 8.64, 1.75"
    assert [row[3] for row in ade20k.rows[:4]] == ["+2.34", "+1.46", "+1.57", "+1.59"]
    assert [row[1] for row in context.rows[:4]] == ["+4.09", "+5.30", "+7.16", "+4.42"]
    (trimap,) = gains("3")
    assert trimap.rows[-2] == ["average", "+7.57", "+13.68 %", "+5.57", "+9.71 %"]
    (instances,) = gains("4")
    assert instances.rows[5] == ["AP_L", "+4.80", "+10.48 %", "+6.40", "+14.48 %"]
    assert len(gains("1")[0].rows) == 1  # the text says nothing of it


@pytest.mark.parametrize("number", ["2", "3", "4"])
def test_the_documentation_has_what_the_command_prints(number: str) -> None:
    page = (Path(__file__).parents[2] / "docs" / "tables.md").read_text()
    printed = done("table", number, "--gains", "--markdown")
    lines = [line for line in printed.splitlines() if line.startswith("| ")]
    if number == "3":  # the classes that the text names, and the average
        lines = [x for x in lines if x.split()[1] in ("wall", "bus", "average", "the")]
    assert len(lines) > 3 and all(line in page for line in lines)


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
    assert "27.46" in done("table", "1") and "62.91" in done("table", "3")
    assert "33.20" in done("table", "4", "--csv", tmp_path / "four.csv")
    assert (tmp_path / "four.csv").read_text().count("33.2") == 1
    assert "no use for --published" in refused("table", "3", "--published", own(tmp_path))
    assert "no use for --pair" in refused("table", "2", "--pair", "hrnet")
    assert "no use for --width" in refused("table", "80k", "--width", "5")
    assert "no use for --data" in refused("table", "4", "--data", "ade20k")
    assert "no use for --runs" in refused("table", "2", "--gains", "--runs", tmp_path)
    assert "table later has no --gains" in refused("table", "later", "--gains")
    assert "'7' is no table of the paper" in refused("table", "7")
