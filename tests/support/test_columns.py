"""Tables that are too wide for the terminal."""

from __future__ import annotations

import pytest
from rich.console import Console

from bpkd.support.columns import Columns

HEADER = ("run", "mIoU", "trimap\n3 px", "boundary\nIoU")
ROWS = [["[own] student", "45.1 ± 0.4", "38.1 ± 0.3", "31.7"], ["teacher", "50.2", "43.7", "37.4"]]


def lines(table: Columns, width: int) -> list[str]:
    console = Console(width=width)
    with console.capture() as capture:
        console.print(table)
    return [line.rstrip() for line in capture.get().splitlines() if line.strip()]


def test_what_fits_is_one_table() -> None:
    found = lines(Columns(HEADER, ROWS, "on test, %", breaks={0}), 80)
    assert found[0].strip() == "on test, %"
    assert [line.split()[0] for line in found[4:]] == ["[own]", "teacher"]
    assert found[4].endswith("31.7")


@pytest.mark.parametrize("width", [28, 32, 45])
def test_what_does_not_fit_stands_below_whole(width: int) -> None:
    found = lines(Columns(HEADER, ROWS), width)
    text = "\n".join(found)
    assert max(map(len, found)) <= width
    assert text.count("teacher") > 1  # the first column is in each part
    for cell in (cell for row in ROWS for cell in row):
        assert cell in text
    for word in ("mIoU", "trimap", "3 px", "boundary"):
        assert text.count(word) == 1
    assert "…" not in text


def test_a_word_that_is_too_long_alone_is_folded() -> None:
    name = "table2/cityscapes/deeplabv3plus/bpkd_published"
    found = lines(Columns(("recipe", "iterations"), [[name, "40,000"]]), 30)
    assert max(map(len, found)) <= 30
    assert name in "".join(line.split()[0] for line in found)
    assert "40,000" in "".join(found)


def test_a_cell_commands_no_terminal() -> None:
    console = Console(force_terminal=True, width=80)
    with console.capture() as capture:
        console.print(Columns(["run"], [["\x1b[31mred\x07"]]))
    assert "\\x1b[31mred\\x07" in capture.get() and "\x1b[31m" not in capture.get()
