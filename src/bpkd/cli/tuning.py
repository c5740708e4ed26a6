"""The command that searches a method's settings."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bpkd.cli.common import Overrides, Trust, app, console
from bpkd.cli.ending import log

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bpkd.support.columns import Columns
    from bpkd.training.tuning.records import Trial


class Search(StrEnum):
    """How the next settings are found."""

    random = "random"
    grid = "grid"
    optuna = "optuna"


@app.command()
def tune(
    recipe: Annotated[str, typer.Argument(help="A YAML file, or the name of a shipped recipe.")],
    overrides: Overrides = None,
    trials: Annotated[int, typer.Option(min=1, help="Of each method.")] = 20,
    search: Annotated[
        Search, typer.Option(help="random; grid; optuna (pip install 'bpkd[tune]').")
    ] = Search.random,
    seed: Annotated[int, typer.Option(min=0, help="Of the search.")] = 0,
    score: Annotated[
        str | None, typer.Option(help="On val, e.g. trimap_mIoU@3; else mIoU (instances: AP).")
    ] = None,
    methods: Annotated[
        str | None,
        typer.Option(help="Recipes beside RECIPE, a,b,c: each searched with the same trials."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Where the trials go; else runs/tune/NAME.")
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress bars.")] = False,
    trust: Trust = False,
) -> None:
    """Search a method's weights and temperature on val, by a search that can be run again.

    What is searched stands in the recipe, by dotted key:

        tune:
          losses.bpkd.weight.edge: {low: 0.05, high: 5, log: true}
          losses.bpkd.edges: {choices: [labels, teacher]}

    Without it, round the method's defaults: weights from ⅛ to 8 times, temperature from ¼ to 4
    times, its switches; of a recipe without losses the learning rate. The first trial is the
    recipe as it is. The test split is never read. Stopped, or with more trials, the same command
    goes on. OUT/trials.csv keeps every trial, OUT/best.yaml is the recipe of the best one.

        bpkd tune camvid/bpkd --trials 20 --score trimap_mIoU@3
        bpkd tune camvid/bpkd --methods plain,cwd,bpkd --trials 20
    """
    from bpkd.recipe.files import find
    from bpkd.recipe.trust import own_recipe, trusted
    from bpkd.training.tuning.trials import best, tune_methods

    place = Path(recipe)
    names = [place.stem] if methods is None else [name.strip() for name in methods.split(",")]
    sources = {
        name: recipe if methods is None else str(place.with_name(name + place.suffix))
        for name in names
    }
    for source in sources.values():
        find(source)  # a name that there is not is told before the first method's hours
    folder = Path("runs/tune") if out is None else out
    with log(), own_recipe(beside=True), trusted(trust):
        found = tune_methods(
            sources,
            *overrides or (),
            out=folder,
            trials=trials,
            search=search.value,
            seed=seed,
            score=score,
            progress=not quiet,
        )
    page = console()
    for name, done in found.items():
        page.print(_table(name, done))
        top = best(done, score)
        print(f"best of {len(done)} trials: trial {top.number}; recipe: {folder / name}/best.yaml")


def _table(name: str, trials: Sequence[Trial]) -> Columns:
    from bpkd.report.table import COLUMNS
    from bpkd.support.columns import Columns

    keys = list(dict.fromkeys(key for trial in trials for key in trial.settings))
    known = {"AP": "AP", **COLUMNS}
    scores = [key for key in known if any(key in trial.scores for trial in trials)]
    rows = [
        [
            str(trial.number),
            *(f"{100 * trial.scores[s]:.2f}" if s in trial.scores else "-" for s in scores),
            *(str(trial.settings.get(key, "as it is")) for key in keys),
        ]
        for trial in trials
    ]
    header = [
        *(known[s].replace(" ", "\n") for s in scores),
        *(k.replace(".", "\n.") for k in keys),
    ]
    return Columns(["trial", *header], rows, f"{name} on val, %")
