"""The runs of the evidence, described as data, and the tables and figures that they give.

    python -m benchmarks.evidence list camvid
    python -m benchmarks.evidence run camvid [--part 0/2] [KEY=VALUE ...]
    python -m benchmarks.evidence table camvid [--out docs/results]

``run`` trains what is not finished, one thread each; stopped, it goes on. ``--part 0/2`` and
``1/2`` share the runs between two processes. The teacher's seed is 0 and it is trained first, in
the first part; other parts wait to be started until it is there. ``table`` measures every finished
run on the split and writes STUDY.csv (a line a run), STUDY_paired.csv (gains on the study's
baseline, see ``bpkd compare --paired``) and STUDY.png. The grid is benchmarks/evidence.yaml.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import yaml
from matplotlib.figure import Figure

from bpkd import UserError, evaluate, train
from bpkd.metrics.measures import scalars
from bpkd.report.effects import Effect
from bpkd.report.figure import save
from bpkd.report.paired import paired
from bpkd.support.files import replacing_csv

GRID = Path(__file__).with_suffix(".yaml")


@dataclass(frozen=True)
class Cell:
    """One run: a method in a regime with a seed."""

    regime: str
    method: str
    seed: int
    recipe: str
    overrides: tuple[str, ...]
    folder: Path

    @property
    def done(self) -> bool:
        """Whether it is trained to its end."""
        return (self.folder / "student.safetensors").is_file()


def study_of(name: str, grid: Path = GRID) -> dict[str, Any]:
    """A study of the grid.

    Raises:
        UserError: there is none of that name.
    """
    studies = yaml.safe_load(grid.read_text(encoding="utf-8"))
    if name not in studies:
        raise UserError(f"{name!r} is no study of {grid}; expected one of {', '.join(studies)}")
    study: dict[str, Any] = studies[name]
    return study


def cells(name: str, study: dict[str, Any], runs: Path) -> Iterator[Cell]:
    """Every run of a study, seeds outermost: a grid that is cut short is complete for some."""
    teacher, shared = runs / name / "teacher", study.get("shared", [])
    for seed in study["seeds"]:
        for regime, changes in study["regimes"].items():
            for method, (recipe, *own) in study["methods"].items():
                if method in study.get("without", {}).get(regime, []):
                    continue
                folder = runs / name / regime / f"{method}-{seed}"
                given = [*shared, *changes, *own, f"seed={seed}", f"name={method}", f"run={folder}"]
                if method != "plain":
                    given.append(f"teacher={teacher}")
                yield Cell(regime, method, seed, recipe, tuple(given), folder)


def run(
    name: str,
    overrides: Sequence[str] = (),
    runs: Path = Path("runs/evidence"),
    part: tuple[int, int] = (0, 1),
    grid: Path = GRID,
) -> None:
    """Train what is not finished."""
    torch.set_num_threads(1)
    study, (index, parts) = study_of(name, grid), part
    teacher = runs / name / "teacher"
    if not (teacher / "student.safetensors").is_file():
        if index:
            raise UserError(f"{teacher} is not trained yet; part 0 trains it")
        recipe, *own = [study["teacher"]] if isinstance(study["teacher"], str) else study["teacher"]
        _train(recipe, [*study.get("shared", []), *own, *overrides, f"run={teacher}"], teacher)
    todo = list(cells(name, study, runs))[index::parts]
    for number, cell in enumerate(todo, start=1):
        if not cell.done:
            print(f"{number} of {len(todo)}: {cell.folder}", flush=True)
            _train(cell.recipe, [*cell.overrides, *overrides], cell.folder)


def _train(recipe: str, overrides: Sequence[str], folder: Path) -> None:
    begun = (folder / "recipe.yaml").is_file()
    train(recipe, *overrides, resume=begun, progress=False)


def table(
    name: str,
    out: Path = Path("docs/results"),
    runs: Path = Path("runs/evidence"),
    split: str = "test",
    grid: Path = GRID,
) -> list[Path]:
    """Measure the finished runs, and write the raw table, the paired one and the figure.

    Raises:
        UserError: no run is finished.
    """
    study = study_of(name, grid)
    found = [cell for cell in cells(name, study, runs) if cell.done]
    if not found:
        raise UserError(
            f"no run of {name} below {runs} is finished: benchmarks.evidence run {name}"
        )
    raw, pairs, picture = (out / f"{name}{end}" for end in (".csv", "_paired.csv", ".png"))
    rows = [
        {
            "regime": cell.regime,
            "method": cell.method,
            "seed": cell.seed,
            **scalars(evaluate(cell.folder, split=split, counts=True, say=_quiet)),
        }
        for cell in found
    ]
    with replacing_csv(raw) as stream:
        writer = csv.DictWriter(stream, list(dict.fromkeys(key for row in rows for key in row)))
        writer.writeheader()
        writer.writerows(rows)
    gains = {regime: _gains(found, regime, study["baseline"], split) for regime in study["regimes"]}
    with replacing_csv(pairs) as stream:
        plain = csv.writer(stream)
        plain.writerow(
            ["regime", "method", "baseline", "score", "seeds", "points", "standard_error"]
            + [f"{by}_{end}" for by in ("seeds", "images", "both") for end in ("low", "high")]
        )
        for regime, effects in gains.items():
            for e in effects:
                numbers = [e.seeds, e.difference, e.error, *e.by_seeds, *e.by_images, *e.by_both]
                plain.writerow([regime, e.method, study["baseline"], e.score, *numbers])
    save(gains_figure(gains, study["baseline"]), picture)
    return [raw, pairs, picture]


def _quiet(_: str) -> None:
    """Kept numbers are told nobody."""


def _gains(found: Sequence[Cell], regime: str, baseline: str, split: str) -> list[Effect]:
    here = [cell for cell in found if cell.regime == regime]
    seeds = {cell.seed for cell in here if cell.method == baseline}
    with_pair = [cell.folder for cell in here if cell.seed in seeds]
    if len({cell.method for cell in here if cell.seed in seeds}) < 2:
        return []
    return paired(with_pair, baseline, split=split, say=_quiet)


def gains_figure(
    gains: dict[str, list[Effect]], baseline: str, score: str = "trimap 3 px"
) -> Figure:
    """Points gained on the baseline in one score, a panel a regime, with intervals over both."""
    figure = Figure(figsize=(3.2 * max(len(gains), 2), 5), layout="constrained")
    panels = figure.subplots(1, len(gains), squeeze=False, sharex=True)[0]
    for panel, (regime, effects) in zip(panels, gains.items(), strict=True):
        shown = [e for e in effects if e.score == score]
        places = range(len(shown))
        panel.hlines(places, [e.by_both[0] for e in shown], [e.by_both[1] for e in shown])
        panel.plot([e.difference for e in shown], places, "o")
        panel.set_yticks(places, [e.method for e in shown])
        panel.axvline(0, color="0.6", linewidth=0.8)
        panel.set_title(regime)
        panel.set_xlabel(f"{score}: points over {baseline}")
    return figure


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("what", choices=["list", "run", "table"])
    parser.add_argument("study")
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE")
    parser.add_argument("--part", default="0/1", help="0/2: the first half of the runs")
    parser.add_argument("--runs", type=Path, default=Path("runs/evidence"))
    parser.add_argument("--out", type=Path, default=Path("docs/results"))
    parser.add_argument("--split", default="test")
    parser.add_argument("--grid", type=Path, default=GRID)
    given = parser.parse_intermixed_args(arguments)
    if given.what == "run":
        index, parts = map(int, given.part.split("/"))
        run(given.study, given.overrides, given.runs, (index, parts), given.grid)
    elif given.what == "table":
        for file in table(given.study, given.out, given.runs, given.split, given.grid):
            print(file)
    else:
        for cell in cells(given.study, study_of(given.study, given.grid), given.runs):
            print("done" if cell.done else "to do", cell.folder)


if __name__ == "__main__":
    try:
        main()
    except UserError as error:
        raise SystemExit(str(error)) from error
