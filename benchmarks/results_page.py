"""The tables of docs/results.md, made from the numbers in docs/results/*.csv.

    python -m benchmarks.results_page           # says whether the page is current
    python -m benchmarks.results_page --write   # makes it so

In the page ``<!-- means STUDY REGIME -->``, ``<!-- gains STUDY REGIME -->`` and
``<!-- trials STUDY all -->`` begin a table, ``<!-- end -->`` ends it. The CSVs of the first two are
written by ``python -m benchmarks.evidence table STUDY``; ``--trials STUDY FOLDER ...`` here gathers
what ``bpkd tune`` left in its folders.
"""

from __future__ import annotations

import argparse
import csv
import math
import re
from collections.abc import Sequence
from pathlib import Path

from bpkd import UserError
from bpkd.report.table import COLUMNS, spread
from bpkd.support.files import replacing_csv

DOCS = Path(__file__).parent.parent / "docs"
#: The CSV's column and the page's heading.
MEANS = {key: title for key, title in COLUMNS.items() if "IoU" in key or key == "mAcc"}
GAINS = ("mIoU", "trimap 1 px", "trimap 3 px", "trimap 5 px", "boundary IoU")
THIN = "trimap 3 px, thin classes"
_TABLE = re.compile(r"(<!-- (means|gains|trials) (\S+) (\S+) -->\n).*?(<!-- end -->)", re.DOTALL)
_ENDINGS = {"means": "", "gains": "_paired", "trials": "_trials"}
_SCORES = ("mIoU", "trimap_mIoU@1", "trimap_mIoU@3", "boundary_mIoU")
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
        cells = [spread([100 * float(row[key]) for row in of]) for key in MEANS]
        lines.append(f"| {method} | {len(of)} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


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


def trials(rows: Rows, _: str) -> str:
    """A line a trial; the best of each method by trimap IoU at 3 pixels in bold.

    Example:
        >>> row = {"method": "kd", "trial": "0", "settings": "as it is"}
        >>> print(trials([row | dict.fromkeys(_SCORES, "0.5")], "").splitlines()[2])
        | kd | as it is | 50.0 | 50.0 | **50.0** | 50.0 |
    """
    titles = [MEANS[key] for key in _SCORES]
    lines = ["| method | settings | " + " | ".join(titles) + " |", "| --- | --- |" + " ---: |" * 4]
    best: dict[str, float] = {}
    for row in rows:
        best[row["method"]] = max(best.get(row["method"], 0), float(row["trimap_mIoU@3"]))
    for row in rows:
        cells = [f"{100 * float(row[key]):.1f}" for key in _SCORES]
        if float(row["trimap_mIoU@3"]) == best[row["method"]]:
            cells[2] = f"**{cells[2]}**"
        lines.append(f"| {row['method']} | {row['settings']} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def gather_trials(study: str, folders: Sequence[Path], out: Path = DOCS / "results") -> Path:
    """One CSV of all trials below some folders of ``bpkd tune``."""
    rows = []
    for file in sorted(file for folder in folders for file in folder.glob("*/trials.csv")):
        with file.open(encoding="utf-8", newline="") as stream:
            for row in csv.DictReader(stream):
                keys = [
                    key for key in row if key.startswith(("losses.", "optimizer.")) and row[key]
                ]
                given = [f"{key.split('.', 2)[-1]} {float(row[key]):.3g}" for key in keys]
                settings = ", ".join(given) or "as the recipe has it"
                named = {"method": file.parent.name, "trial": row["trial"], "settings": settings}
                rows.append(named | {key: row[key] for key in _SCORES})
    if not rows:
        raise UserError("no METHOD/trials.csv in these folders; give what bpkd tune wrote")
    path = out / f"{study}_trials.csv"
    with replacing_csv(path) as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def page(text: str, folder: Path = DOCS / "results") -> str:
    """The page with every table made anew.

    Raises:
        UserError: a table's CSV or regime is not there.
    """

    def table(found: re.Match[str]) -> str:
        begin, kind, study, regime, end = found.groups()
        file = folder / f"{study}{_ENDINGS[kind]}.csv"
        if not file.is_file():
            raise UserError(f"{file} is not there: python -m benchmarks.evidence table {study}")
        with file.open(encoding="utf-8", newline="") as stream:
            rows = list(csv.DictReader(stream))
        make = {"means": means, "gains": gains, "trials": trials}[kind]
        return f"{begin}\n{make(rows, regime)}\n{end}"

    return _TABLE.sub(table, text)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--trials", nargs="+", metavar="STUDY FOLDER", help="gather what tune left")
    given = parser.parse_args()
    if given.trials:
        print(gather_trials(given.trials[0], [Path(each) for each in given.trials[1:]]))
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
