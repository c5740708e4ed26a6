"""``bpkd distill``: from a folder to a trained student in one call."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from omegaconf import OmegaConf

from bpkd.datasets.parallel import Progress
from bpkd.errors import UserError
from bpkd.recipe.trust import own_recipe
from bpkd.starting.init import init
from bpkd.training.run import train


@own_recipe()
def distill(
    data: str | Path,
    *overrides: str,
    teacher: str | None = None,
    student: str | None = None,
    out: str | Path = "distilled",
    format: str | None = None,
    weights: str | None = "hub",
    seed: int = 0,
    resume: bool = False,
    overwrite: bool = False,
    progress: bool = True,
    bar: Progress = iter,
    say: Callable[[str], None] = lambda line: None,
) -> Path:
    """Write recipes for a folder, train the teacher and the student.

    Args:
        data: folder of annotated images; nothing in it is changed.
        overrides: ``key=value`` of both recipes, such as ``max_iters=2000``.
        teacher: a run's folder, or a network to train: see :func:`bpkd.starting.init.init`.
        student: the network to train.
        out: folder that the recipes and the runs go into.
        format: of the annotations; None recognises it.
        weights: of backbones: ``hub``, a folder of files, or None.
        seed: of splits and training.
        resume: go on where it was left off, with the recipes that are there.
        overwrite: begin anew where recipes and runs are there.
        progress: draw progress bars of training.
        bar: wraps what is gone through when looking at the folder.
        say: takes what there is to say, a line at a time.

    Returns:
        The folder of the student's run.

    Raises:
        UserError: as for init and train.
    """
    if any(override.startswith("run=") for override in overrides):
        raise UserError("run=... would give teacher and student one folder: set --out DIR instead")
    folder = Path(out).expanduser()
    recipes = _there(folder)
    if not (resume and recipes):
        if recipes and not overwrite:
            raise UserError(
                f"{folder} holds {recipes[0].name} already: --resume goes on with it, --overwrite "
                "begins anew, --out DIR goes elsewhere"
            )
        started = init(
            data, teacher=teacher, student=student, out=folder, format=format, weights=weights,
            seed=seed, overwrite=overwrite, progress=bar,
        )  # fmt: skip
        for line in started.lines:
            say(line)
        recipes = [file for file in (started.teacher, started.student) if file]
    run = Path()
    for recipe in recipes:
        say(f"training the {recipe.stem}: {recipe}")
        run = train(recipe, *overrides, resume=resume, overwrite=overwrite, progress=progress)
    return run


def _there(folder: Path) -> list[Path]:
    """The recipes in a folder, that of the teacher first if the student's is based on it."""
    files = [folder / f"{name}.yaml" for name in ("teacher", "student")]
    if files[1].is_file() and "base" not in OmegaConf.load(files[1]):
        return files[1:]
    return [file for file in files if file.is_file()]
