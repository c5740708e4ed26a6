"""Does a method beat another? Differences of runs of one seed, with intervals by drawing again.

Runs of one seed begin alike, so their difference says more than that of two means. How sure it is
has two sides: other seeds might have come out otherwise, and so might other images. Of instances,
whose AP is no sum over images, the first side alone is told.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping, Sequence
from math import isnan
from pathlib import Path
from typing import Any

import numpy as np

from bpkd.errors import UserError
from bpkd.inference.evaluation import evaluate
from bpkd.inference.image_counts import Counts, kept_counts
from bpkd.inference.predictor import classes_at, kept_at
from bpkd.metrics.measures import Scores
from bpkd.recipe.instance import InstanceRecipe
from bpkd.report.compare import names_of, recipes_of
from bpkd.report.effects import Effect, effect, effect_of_scores, thin_classes
from bpkd.report.table import COLUMNS
from bpkd.support.columns import Columns
from bpkd.support.files import replacing_csv


def paired(
    runs: Sequence[str | Path],
    baseline: str,
    *overrides: str,
    split: str = "test",
    thin: Sequence[str] | None = None,
    samples: int = 2000,
    progress: Callable[[Any], Any] = iter,
    say: Callable[[str], Any] = print,
) -> list[Effect]:
    """What each method among the runs gains on a baseline, seed by seed.

    Args:
        runs: folders of runs on one data set.
        baseline: the name of one of the methods, as the table has it, or the folder of a run.
        overrides: ``key=value``, dotted, for all of them.
        split: train, val or test.
        thin: names of the classes that are also taken apart; None: :func:`thin_classes`.
        samples: how often is drawn.
        progress: wraps each loader, e.g. to draw a bar.
        say: told in a line where numbers are kept ones.

    Raises:
        UserError: no such baseline, no seed that both have, or two runs of one seed.
    """
    recipes = recipes_of(runs)
    methods: dict[str, dict[int, Path]] = {}
    names = names_of(recipes)
    for run, name in names.items():
        of_seed = methods.setdefault(name, {})
        seed = recipes[run].seed
        if seed in of_seed:
            raise UserError(f"{run} and {of_seed[seed]} are both {name} with seed {seed}; give one")
        of_seed[seed] = run
    folders = {run.resolve(): name for run, name in names.items()}
    base = baseline if baseline in methods else folders.get(Path(baseline).resolve())
    if base is None:
        known = ", ".join(methods)
        raise UserError(f"--paired {baseline!r} is none of the methods; expected one of {known}")
    _check_seeds(methods, base)
    if any(isinstance(recipe, InstanceRecipe) for recipe in recipes.values()):
        if thin is not None:
            raise UserError("--thin is of the classes of label maps; these runs find objects")
        return _of_scores(
            methods,
            base,
            lambda run: evaluate(run, *overrides, split=split, progress=progress, say=say),
        )
    counts = {
        run: _counts(run, overrides, split, progress, say)
        for of_seed in methods.values()
        for seed, run in of_seed.items()
        if seed in methods[base]
    }
    classes = classes_at(Path(runs[0]))
    first = counts[next(iter(methods[base].values()))]
    narrow = thin_classes(first) if thin is None else [_index(name, classes) for name in thin]
    found = []
    for name, of_seed in methods.items():
        if name != base:
            shared = [seed for seed in of_seed if seed in methods[base]]
            pairs = [(counts[of_seed[seed]], counts[methods[base][seed]]) for seed in shared]
            found += _effects(name, pairs, narrow, samples)
    return found


def _of_scores(
    methods: Mapping[str, Mapping[int, Path]], base: str, measured: Callable[[Path], Scores]
) -> list[Effect]:
    """Of scores that are known of all images together: AP, overall and by size."""
    shared = {name: [s for s in each if s in methods[base]] for name, each in methods.items()}
    scores = {run: measured(run) for each in methods.values() for run in each.values()}
    found = []
    for name, seeds in shared.items():
        if name == base:
            continue
        pairs = [(scores[methods[name][seed]], scores[methods[base][seed]]) for seed in seeds]
        for key, title in COLUMNS.items():
            if all(key in side for pair in pairs for side in pair):
                values = [(a[key], b[key]) for a, b in pairs]
                if not any(isnan(value) for pair in values for value in pair):  # no such object
                    found.append(effect_of_scores(name, title, values))
    return found


def _check_seeds(methods: Mapping[str, Mapping[int, Path]], base: str) -> None:
    if len(methods) == 1:
        raise UserError(f"there is only {base}; give runs of another method too")
    for name, of_seed in methods.items():
        if not of_seed.keys() & methods[base].keys():
            seeds = " and ".join(
                f"{each} has {', '.join(map(str, sorted(methods[each])))}" for each in (name, base)
            )
            raise UserError(f"{name} and {base} have no seed in common, so no pairs: {seeds}")


def _index(name: str, classes: Sequence[str]) -> int:
    if name not in classes:
        raise UserError(f"--thin: no class is called {name!r}; they are {', '.join(classes)}")
    return classes.index(name)


def _counts(
    run: Path,
    overrides: Sequence[str],
    split: str,
    progress: Callable[[Any], Any],
    say: Callable[[str], Any],
) -> Counts:
    evaluate(run, *overrides, split=split, progress=progress, say=say, counts=True)
    counts = kept_counts(kept_at(run, split).with_suffix(".npz"))
    if counts is None:
        raise UserError(
            f"{run}: each image's counts are not in evaluation_{split}.npz: the folder cannot be "
            "written, or its task is not semantic segmentation"
        )
    return counts


def _effects(
    name: str, pairs: Sequence[tuple[Counts, Counts]], thin: Sequence[int], samples: int
) -> list[Effect]:
    """All scores of one method, each of all classes and of the thin ones."""
    found = []
    for key, title in COLUMNS.items():
        source = key.replace("_mIoU", "_IoU") if "_mIoU" in key else key.replace("mIoU", "IoU")
        if any(source not in side for pair in pairs for side in pair):
            continue
        of_score = [(a[source], b[source]) for a, b in pairs]
        if any(a.shape != b.shape for a, b in of_score):
            raise UserError(f"{name} is measured on other images than the baseline")
        found.append(effect(name, title, of_score, None, samples))
        if thin and len(thin) < of_score[0][0].shape[-1]:
            found.append(effect(name, f"{title}, thin classes", of_score, thin, samples))
    return found


def terminal(effects: Sequence[Effect], baseline: str, split: str) -> Columns:
    """For the terminal: a row a method and score."""
    header = ["method", "score", "seeds", "points", "±\nerror", "seeds\n95 %", "images\n95 %"]
    rows = [
        [e.method, e.score, str(e.seeds), _signed(e.difference), _number(e.error)]
        + [_between(ends) for ends in (e.by_seeds, e.by_images, e.by_both)]
        for e in effects
    ]
    title = f"gain on {baseline}, paired by seed, on {split}"
    return Columns([*header, "both\n95 %"], rows, title)


def _signed(value: float) -> str:
    return f"{value:+.2f}"


def _number(value: float) -> str:
    return "-" if np.isnan(value) else f"{value:.2f}"


def _between(ends: tuple[float, float]) -> str:
    return "-" if np.isnan(ends[0]) else f"{ends[0]:+.1f} .. {ends[1]:+.1f}"


def write_csv(effects: Sequence[Effect], baseline: str, file: Path) -> None:
    """For a spreadsheet, in full precision."""
    ends = [f"{by}_{end}" for by in ("seeds", "images", "both") for end in ("low", "high")]
    with replacing_csv(file) as stream:
        writer = csv.writer(stream)
        writer.writerow(["method", "baseline", "score", "seeds", "points", "standard_error", *ends])
        for e in effects:
            intervals = (*e.by_seeds, *e.by_images, *e.by_both)
            writer.writerow(
                [e.method, baseline, e.score, e.seeds, e.difference, e.error, *intervals]
            )
