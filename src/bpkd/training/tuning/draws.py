"""Which settings a trial tries: a function of seed and number, and for TPE of what came before."""

from __future__ import annotations

import random
from collections.abc import Sequence
from itertools import product
from typing import Any, Literal

from bpkd.errors import UserError
from bpkd.support.extras import extra
from bpkd.training.tuning.space import Space

Search = Literal["random", "grid", "optuna"]
Settings = dict[str, Any]


def drawn(
    search: Search,
    space: Space,
    number: int,
    trials: int,
    seed: int = 0,
    past: Sequence[tuple[Settings, float]] = (),
) -> Settings:
    """The settings of a trial, a value a key; of the first one none: it is the recipe as it is.

    Args:
        search: ``random``; ``grid``, so many of the points of a grid that has at least as many as
            there are trials; ``optuna``, its TPE.
        space: ranges by key.
        number: of the trial, from 0.
        trials: how many there are.
        seed: another seed, another search.
        past: settings and scores of the trials before, for ``optuna``.

    Example:
        >>> from bpkd.recipe.ranges import Range
        >>> space = {"a": Range(low=1, high=16, log=True)}
        >>> [drawn("grid", space, number, trials=4) for number in range(4)]
        [{}, {'a': 1.0}, {'a': 4.0}, {'a': 16.0}]
        >>> drawn("random", space, 1, trials=4) == drawn("random", space, 1, trials=9)
        True
    """
    if number == 0:
        return {}
    if search == "grid":
        return _grid(space, trials - 1, seed)[number - 1]
    if search == "optuna":
        return _suggested(space, number, seed, past)
    draw = random.Random(f"{seed}/{number}")
    return {key: space[key].at(draw.random()) for key in sorted(space)}


def _grid(space: Space, count: int, seed: int) -> list[Settings]:
    """So many points of the coarsest grid of equal steps that has as many; in the grid's order."""
    axes: list[list[Any]] = []
    steps = 1
    while True:
        axes = [
            one.choices or [one.at(i / max(steps - 1, 1)) for i in range(steps)]
            for one in space.values()
        ]
        points = list(product(*axes))
        if len(points) >= count or steps > count:
            break
        steps += 1
    kept = sorted(random.Random(seed).sample(range(len(points)), min(count, len(points))))
    every = [dict(zip(space, points[index], strict=True)) for index in kept]
    # Fewer choices than trials: they are tried again, for every method has as many trials.
    return [every[index % len(every)] for index in range(count)]


def _suggested(
    space: Space, number: int, seed: int, past: Sequence[tuple[Settings, float]]
) -> Settings:
    """What Optuna's TPE suggests after those before; a sampler of its own, so a resumed search
    suggests the same.
    """
    optuna = extra("optuna", "--search optuna", "tune")
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    ranges = {
        key: optuna.distributions.CategoricalDistribution(one.choices)
        if one.choices is not None
        else optuna.distributions.FloatDistribution(one.low, one.high, log=one.log)
        for key, one in space.items()
    }
    sampler = optuna.samplers.TPESampler(seed=seed * 100_003 + number)
    study = optuna.create_study(direction="maximize", sampler=sampler)
    for settings, score in past:
        if settings.keys() == space.keys():
            study.add_trial(
                optuna.trial.create_trial(params=settings, distributions=ranges, value=score)
            )
    try:
        found: Settings = study.ask(ranges).params
    except ValueError as error:
        raise UserError(f"--search optuna: {error}") from error
    return {
        key: float(f"{value:.4g}") if isinstance(value, float) else value
        for key, value in found.items()
    }
