"""The page's tables are what the CSVs say."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from benchmarks import results_page
from bpkd import UserError


def raw(method: str, seed: int, value: float) -> dict[str, str]:
    return {"regime": "r", "method": method, "seed": str(seed)} | dict.fromkeys(
        results_page.MEANS, str(value)
    )


def test_means_are_over_the_seeds_of_one_regime() -> None:
    rows = [raw("kd", 0, 0.4), raw("kd", 1, 0.5), raw("kd", 0, 0.9) | {"regime": "other"}]
    assert "| kd | 2 | 45.0 ± 7.1 |" in results_page.means(rows, "r")


def gain(score: str, points: float, error: float) -> dict[str, str]:
    numbers = {"points": str(points), "standard_error": str(error), "seeds": "3"}
    return {"regime": "r", "method": "bpkd", "baseline": "cwd", "score": score} | numbers


def test_a_gain_beyond_two_standard_errors_is_bold() -> None:
    rows = [gain(score, 1.0, 0.6) for score in results_page.GAINS]
    rows[2] = gain("trimap 3 px", -1.0, 0.4)
    line = results_page.gains(rows, "r").splitlines()[-1]
    assert line.startswith("| bpkd | 3 | +1.0 ± 0.6 |") and "| **-1.0 ± 0.4** |" in line
    rows[0] = gain("mIoU", 1.0, float("nan"))  # one pair has no error
    assert "| +1.0 |" in results_page.gains(rows, "r")


def test_the_page_is_made_anew_and_says_what_lacks(tmp_path: Path) -> None:
    text = "before\n<!-- means study r -->\nold\n<!-- end -->\nafter\n"
    with pytest.raises(UserError, match="evidence table study"):
        results_page.page(text, tmp_path)
    row = raw("kd", 0, 0.4)
    with (tmp_path / "study.csv").open("w", newline="") as stream:
        writer = csv.DictWriter(stream, list(row))
        writer.writeheader()
        writer.writerow(row)
    made = results_page.page(text, tmp_path)
    assert "| kd | 1 | 40.0 |" in made and "old" not in made
    assert made.startswith("before\n") and made.endswith("<!-- end -->\nafter\n")
    assert results_page.page(made, tmp_path) == made


def test_docs_results_is_current() -> None:
    text = (results_page.DOCS / "results.md").read_text(encoding="utf-8")
    assert results_page.page(text) == text
