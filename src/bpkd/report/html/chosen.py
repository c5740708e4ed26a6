"""The runs that a report is about: what each is called, and which are compared."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bpkd.errors import UserError
from bpkd.recipe.schema import Recipe
from bpkd.report.compare import names_of, recipes_of
from bpkd.report.html.curves import Curves, read_curves


@dataclass
class Chosen:
    """Runs on one data set.

    Attributes:
        recipes: of each folder.
        methods: by name, runs that differ in their seed alone together.
        students: the methods that are compared: none that taught another one of the runs.
        labels: what each run is called where it stands alone.
        curves: what each run's tables hold.
    """

    recipes: dict[Path, Recipe]
    methods: dict[str, list[Path]]
    students: list[str]
    labels: dict[Path, str]
    curves: dict[Path, Curves]

    @property
    def compared(self) -> tuple[int, int] | None:
        """The places of the first and the last student among the methods, if they are two."""
        names = list(self.methods)
        first, last = self.students[0], self.students[-1]
        return None if first == last else (names.index(first), names.index(last))


def choose(runs: Sequence[str | Path], overrides: Sequence[str] = ()) -> Chosen:
    """Read what runs say of themselves.

    Raises:
        UserError: a folder is no run, a table of it is damaged, or the runs are not on one
            data set.
    """
    recipes = recipes_of(runs, overrides)
    (first, own), *others = recipes.items()
    for run, recipe in others:
        if recipe.data.use != own.data.use:
            raise UserError(
                f"{run} is on {recipe.data.use}, {first} on {own.data.use}; report runs on one "
                "data set"
            )
    methods: dict[str, list[Path]] = {}
    for run, name in names_of(recipes).items():
        methods.setdefault(name, []).append(run)
    labels = _labels(methods, recipes)
    curves = {run: read_curves(run) for run in recipes}
    return Chosen(recipes, methods, _students(methods, recipes), labels, curves)


def _labels(
    methods: Mapping[str, Sequence[Path]], recipes: Mapping[Path, Recipe]
) -> dict[Path, str]:
    """Its method's name, with its seed where there are several; else its folder."""
    labels = {
        run: name if len(same) == 1 else f"{name}, seed {recipes[run].seed}"
        for name, same in methods.items()
        for run in same
    }
    often = Counter(labels.values())
    return {run: label if often[label] == 1 else str(run) for run, label in labels.items()}


def _students(methods: Mapping[str, Sequence[Path]], recipes: Mapping[Path, Recipe]) -> list[str]:
    """The methods without those that taught; all of them where none is left."""
    taught = {Path(r.teacher).resolve() for r in recipes.values() if isinstance(r.teacher, str)}
    students = [
        name for name, runs in methods.items() if not taught & {run.resolve() for run in runs}
    ]
    return students or list(methods)


def remarks(chosen: Chosen) -> list[str]:
    """What the reader has to know: runs that are not finished, or on other images."""
    lines = []
    for run, label in chosen.labels.items():
        recipe = chosen.recipes[run]
        if recipe.data.val is None:  # it has weights, so it came to its end
            continue
        found = (points[-1][0] for key, points in chosen.curves[run].items() if "val/" in key)
        at = max(found, default=0)
        if at < recipe.max_iters:
            at_most = f"{at} of {recipe.max_iters} iterations"
            lines.append(f"{label} is not finished: validated at {at_most}")
    (first, own), *others = chosen.recipes.items()
    for run, recipe in others:
        if recipe.data != own.data:
            lines.append(
                f"{chosen.labels[run]} reads its data in another way than {chosen.labels[first]}, "
                "so their scores may be of other images: see what differs in their recipes"
            )
    return lines
