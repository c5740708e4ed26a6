"""The search itself: trials one after the other, kept in a table, gone on with where it ended."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from bpkd.errors import UserError
from bpkd.recipe.loading import dump, load_recipe
from bpkd.recipe.schema import Recipe
from bpkd.recipe.trust import own_recipe
from bpkd.runs.tables import read_rows
from bpkd.support.files import replacing
from bpkd.training.run import train
from bpkd.training.tuning.draws import Search, Settings, drawn
from bpkd.training.tuning.records import Trial, read_trials, write_trials
from bpkd.training.tuning.space import space_of, whole_weights

#: The score that decides, by task: the first of these that a run has.
_SCORES = ("mIoU", "AP")


@own_recipe()
def tune(
    source: str | Path,
    *overrides: str,
    trials: int = 20,
    search: Search = "random",
    seed: int = 0,
    score: str | None = None,
    out: str | Path | None = None,
    progress: bool = True,
    say: Callable[[str], Any] = print,
) -> list[Trial]:
    """Search a recipe's ``tune`` on val, or round its defaults; the test split is never read.

    Every trial is a run in ``OUT/trial-000`` and the like, of the recipe's own seed and budget,
    with ``data.test`` null. ``OUT/trials.csv`` has a line a trial, ``OUT/best.yaml`` is the recipe
    with the best settings, ``OUT/tune.json`` says what was asked. Called again it goes on; with
    more trials it goes on further.

    Args:
        source: a file, or the name of a shipped recipe.
        overrides: ``key=value``, dotted, for all trials.
        trials: how many, the first with the recipe as it is.
        search: see :func:`bpkd.training.tuning.draws.drawn`.
        seed: of the search.
        score: on val, the higher the better; None: mIoU, of instances AP.
        out: the folder; None: ``runs/tune/`` and the recipe's name.
        progress: draw the bars of training.
        say: told a line a trial.

    Raises:
        UserError: no val split, nothing to search, or the folder has another search.
    """
    recipe = load_recipe(source, overrides)
    if trials < 1:
        raise UserError(f"--trials {trials}: expected at least 1")
    if recipe.data.val is None:
        raise UserError(f"{source}: data.val is null, and settings are chosen on val")
    space = space_of(recipe)
    folder = Path(out) if out is not None else Path("runs/tune") / recipe.name
    asked: dict[str, Any] = {
        "recipe": _asked(recipe),
        "space": {key: one.model_dump(exclude_none=True) for key, one in space.items()},
        "search": search,
        "seed": seed,
        "score": score,
        **({"trials": trials} if search == "grid" else {}),
    }
    _check_same(folder / "tune.json", asked)
    begin = [*overrides, *whole_weights(recipe, space)]
    done = read_trials(folder / "trials.csv", list(space))[:trials]
    for number in range(len(done), trials):
        past = [(each.settings, each.scores[_score(each, score)]) for each in done if each.scores]
        settings = drawn(search, space, number, trials, seed, past)
        trial = _run(source, begin, settings, number, folder, progress)
        if trial.scores:
            _score(trial, score)  # a name that there is not is told after the first
        done.append(trial)
        write_trials(folder / "trials.csv", done, list(space))
        say(_line(trial, trials, score))
    top = best(done, score)
    chosen = load_recipe(source, [*begin, *_changes(top.settings)])
    chosen.run, chosen.tune = f"{recipe.run}-tuned", {}
    with replacing(folder / "best.yaml") as file:
        file.write_text(dump(chosen), encoding="utf-8")
    return done


def tune_methods(
    sources: Mapping[str, str | Path], *overrides: str, out: Path, trials: int, **options: Any
) -> dict[str, list[Trial]]:
    """:func:`tune` for several methods, each with the same trials, search, seed and score.

    Args:
        sources: recipes by the methods' names.
        overrides: for all of them.
        out: a folder each lies in it.
        trials: of each.
        options: the others of :func:`tune`.
    """
    return {
        name: tune(source, *overrides, trials=trials, out=out / name, **options)
        for name, source in sources.items()
    }


def best(trials: Sequence[Trial], score: str | None = None) -> Trial:
    """The trial of the highest score; of equal ones the first.

    Raises:
        UserError: none came to an end.
    """
    ended = [trial for trial in trials if trial.scores]
    if not ended:
        raise UserError("no trial came to an end with finite numbers; lower the learning rate")
    return max(ended, key=lambda trial: trial.scores[_score(trial, score)])


def _score(trial: Trial, score: str | None) -> str:
    wanted = next((s for s in _SCORES if s in trial.scores), "") if score is None else score
    if wanted not in trial.scores:
        raise UserError(f"--score {wanted!r}: val has {', '.join(trial.scores)}")
    return wanted


def _run(
    source: str | Path,
    begin: Sequence[str],
    settings: Settings,
    number: int,
    folder: Path,
    progress: bool,
) -> Trial:
    run = folder / f"trial-{number:03d}"
    always = ["data.test=null", "tune={}", f"run={json.dumps(str(run))}"]
    recipe = load_recipe(source, [*begin, *_changes(settings), *always])
    since = time.perf_counter()
    scores: dict[str, float] = {}
    try:
        train(recipe, resume=(run / "recipe.yaml").is_file(), progress=progress)
        last = read_rows(run / "metrics.csv")[-1]
        scores = {
            name: float(value)
            for name, value in last.items()
            if "/" not in name and name != "iteration"
        }
    except UserError as error:
        if "not finite" not in str(error):
            raise
    return Trial(number, settings, scores, time.perf_counter() - since)


def _changes(settings: Settings) -> list[str]:
    return [f"{key}={json.dumps(value)}" for key, value in settings.items()]


def _asked(recipe: Recipe) -> dict[str, Any]:
    """What of a recipe decides the numbers."""
    content = recipe.model_dump(mode="json", by_alias=True)
    return {key: content[key] for key in content if key not in ("run", "workers", "devices")}


def _check_same(file: Path, asked: dict[str, Any]) -> None:
    """Write down what was asked, or refuse a folder in which it was something else."""
    if file.is_file():
        try:
            before = json.loads(file.read_text(encoding="utf-8"))
        except ValueError as error:
            raise UserError(f"{file} is damaged; give another --out") from error
        other = [key for key in asked if before.get(key) != json.loads(json.dumps(asked[key]))]
        if other:
            raise UserError(
                f"{file.parent} has the trials of another search (another {', '.join(other)}); "
                "give another --out"
            )
        return
    with replacing(file) as temporary:
        temporary.write_text(json.dumps(asked, indent=1) + "\n", encoding="utf-8")


def _line(trial: Trial, trials: int, score: str | None) -> str:
    what = ", ".join(f"{key.removeprefix('losses.')}={v}" for key, v in trial.settings.items())
    name = _score(trial, score) if trial.scores else ""
    result = f"{name} {100 * trial.scores[name]:.2f}" if name else "not finite"
    return f"trial {trial.number + 1} of {trials}: {result} ({what or 'as the recipe is'})"
