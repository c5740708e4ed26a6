"""The tables of docs/results.md, made from the numbers in docs/results/*.csv.

    python -m benchmarks.results_page           # says whether the page is current
    python -m benchmarks.results_page --write   # makes it so

In the page ``<!-- means STUDY REGIME -->`` and ``<!-- gains STUDY REGIME -->`` begin a table,
``<!-- end -->`` ends it. The CSVs are written by ``python -m benchmarks.evidence table STUDY``.
"""

from __future__ import annotations

import argparse
import csv
import math
import re
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean, stdev

from bpkd import UserError

DOCS = Path(__file__).parent.parent / "docs"
#: The CSV's column and the page's heading.
MEANS = {
    "mIoU": "mIoU",
    "mAcc": "mAcc",
    "trimap_mIoU@1": "trimap 1 px",
    "trimap_mIoU@3": "trimap 3 px",
    "trimap_mIoU@5": "trimap 5 px",
    "boundary_mIoU": "boundary IoU",
}
GAINS = ("mIoU", "trimap 1 px", "trimap 3 px", "trimap 5 px", "boundary IoU")
THIN = "trimap 3 px, thin classes"
_TABLE = re.compile(r"(<!-- (means|gains) (\S+) (\S+) -->\n).*?(<!-- end -->)", re.DOTALL)
Rows = Sequence[dict[str, str]]


def means(rows: Rows, regime: str) -> str:
    """A line a method: mean ± standard deviation over its seeds, in per cent.

    Example:
        >>> row = {"regime": "r", "method": "kd", "seed": "0"} | dict.fromkeys(MEANS, "0.5")
        >>> print(means([row], "r").splitlines()[2])
        | kd | 1 | 50.0 | 50.0 | 50.0 | 50.0 | 50.0 | 50.0 |
    """
    lines = [
        "| method | seeds | " + " | ".join(MEANS.values()) + " |",
        "| --- |" + " ---: |" * (len(MEANS) + 1),
    ]
    here = [row for row in rows if row["regime"] == regime]
    for method in dict.fromkeys(row["method"] for row in here):
        of = [row for row in here if row["method"] == method]
        cells = [_spread([100 * float(row[key]) for row in of]) for key in MEANS]
        lines.append(f"| {method} | {len(of)} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _spread(values: Sequence[float]) -> str:
    if len(values) < 2:
        return f"{values[0]:.1f}"
    return f"{fmean(values):.1f} ± {stdev(values):.1f}"


def gains(rows: Rows, regime: str) -> str:
    """A line a method: points over the baseline ± standard error; bold beyond two of them."""
    here = [row for row in rows if row["regime"] == regime]
    if not here:
        raise UserError(f"no gains of the regime {regime!r}")
    scores = [*GAINS, *([THIN] if any(row["score"] == THIN for row in here) else [])]
    lines = [
        f"| over {here[0]['baseline']} | pairs | " + " | ".join(scores) + " |",
        "| --- |" + " ---: |" * (len(scores) + 1),
    ]
    for method in dict.fromkeys(row["method"] for row in here):
        of = {row["score"]: row for row in here if row["method"] == method}
        cells = [_gain(of[score]) for score in scores]
        lines.append(f"| {method} | {of['mIoU']['seeds']} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _gain(row: dict[str, str]) -> str:
    points, error = float(row["points"]), float(row["standard_error"])
    if math.isnan(error):  # one pair
        return f"{points:+.1f}"
    shown = f"{points:+.1f} ± {error:.1f}"
    return f"**{shown}**" if abs(points) > 2 * error else shown


def page(text: str, folder: Path = DOCS / "results") -> str:
    """The page with every table made anew.

    Raises:
        UserError: a table's CSV or regime is not there.
    """

    def table(found: re.Match[str]) -> str:
        begin, kind, study, regime, end = found.groups()
        file = folder / f"{study}{'' if kind == 'means' else '_paired'}.csv"
        if not file.is_file():
            raise UserError(f"{file} is not there: python -m benchmarks.evidence table {study}")
        with file.open(encoding="utf-8", newline="") as stream:
            rows = list(csv.DictReader(stream))
        return f"{begin}\n{(means if kind == 'means' else gains)(rows, regime)}\n{end}"

    return _TABLE.sub(table, text)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--write", action="store_true")
    given = parser.parse_args()
    file = DOCS / "results.md"
    now = file.read_text(encoding="utf-8")
    wanted = page(now)
    if given.write:
        file.write_text(wanted, encoding="utf-8")
    elif now != wanted:
        raise UserError("docs/results.md is not current: python -m benchmarks.results_page --write")


if __name__ == "__main__":
    try:
        main()
    except UserError as error:
        raise SystemExit(str(error)) from error
