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


def test_trials_are_gathered_from_what_tune_left(tmp_path: Path) -> None:
    for method, values in {"kd": ("0.2", "0.3"), "cwd": ("0.4",)}.items():
        (tmp_path / method).mkdir()
        with (tmp_path / method / "trials.csv").open("w", newline="") as stream:
            scores = ["mIoU", "trimap_mIoU@1", "trimap_mIoU@3", "boundary_mIoU"]
            writer = csv.DictWriter(stream, ["trial", f"losses.{method}.weight", *scores])
            writer.writeheader()
            for number, value in enumerate(values):
                weight = {f"losses.{method}.weight": "2.345" if number else ""}
                row = {"trial": number, **weight} | dict.fromkeys(scores, value)
                writer.writerow(row)
    file = results_page.gather_trials("study", [tmp_path], tmp_path)
    text = results_page.page("<!-- trials study all -->\n<!-- end -->", tmp_path)
    assert file.name == "study_trials.csv"
    assert "| cwd | as the recipe has it | 40.0 | 40.0 | **40.0** | 40.0 |" in text
    assert "| kd | as the recipe has it | 20.0 | 20.0 | 20.0 | 20.0 |" in text
    assert "| kd | weight 2.35 | 30.0 | 30.0 | **30.0** | 30.0 |" in text
    with pytest.raises(UserError, match="what bpkd tune wrote"):
        results_page.gather_trials("study", [tmp_path / "kd"], tmp_path)


def test_docs_results_is_current() -> None:
    text = (results_page.DOCS / "results.md").read_text(encoding="utf-8")
    assert results_page.page(text) == text
