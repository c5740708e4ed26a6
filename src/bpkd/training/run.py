"""From a recipe to a trained student in a run's folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lightning

from bpkd.datasets.building import build_data
from bpkd.datasets.checking.first_look import look
from bpkd.errors import UserError
from bpkd.recipe.loading import load_recipe
from bpkd.recipe.schema import Recipe
from bpkd.recipe.trust import own_recipe
from bpkd.runs.folder import begin, is_first, note, or_nothing, prepare
from bpkd.runs.loading import write_student
from bpkd.runs.recorder import Recorder, Stopped
from bpkd.support.tensors import write_tensors
from bpkd.training.building import build, build_loaders
from bpkd.training.class_weights import write_class_weights
from bpkd.training.distiller import Distiller
from bpkd.training.fitting import build_measured
from bpkd.training.preparation import Preparation
from bpkd.training.scrutiny import scrutinise
from bpkd.training.trainer import build_trainer, quiet


@own_recipe()
def train(
    recipe: str | Path | Recipe,
    *overrides: str,
    resume: bool = False,
    overwrite: bool = False,
    progress: bool = True,
) -> Path:
    """Train a recipe's student.

    Args:
        recipe: a file, the name of a recipe that comes with the package, or a Recipe.
        overrides: ``key=value``, dotted.
        resume: go on where the run's folder left off; a finished run is left as it is.
        overwrite: delete what the run's folder holds.
        progress: draw a progress bar.

    Returns:
        The run's folder: ``recipe.yaml``, ``environment.json``, ``training.csv``,
        ``metrics.csv``, ``last.ckpt``, ``best.ckpt``, ``student.safetensors``, ``classes.csv``.

    Raises:
        UserError: anything the user can mend.
        Stopped: Ctrl-C; ``last.ckpt`` is written.
    """
    if not isinstance(recipe, Recipe):
        recipe = load_recipe(recipe, overrides)
    folder = Path(recipe.run)
    start = prepare(folder, recipe, resume, overwrite)
    if recipe.max_iters == 0:
        return _untrained(recipe, folder)
    if start >= recipe.max_iters:
        return folder
    quiet()
    parts = build(recipe, folder if start else None)
    data, distiller, validate = parts.data, parts.distiller, parts.val is not None
    if is_first() and start == 0:
        scrutinise(parts)
    looked = look(data, parts.val, recipe.data)
    with or_nothing(folder):
        if is_first():
            begin(folder, recipe, data, start, looked)
            write_student(folder, distiller.student)
            if recipe.class_weights == "balanced":
                write_class_weights(folder, data, parts.class_weights or ())
        run = Recorder(
            folder,
            data.classes,
            start,
            checkpoint_every=recipe.checkpoint_every,
            best_by=distiller.task.best_by,
        )
        trainer = build_trainer(recipe, run, validate, progress)
        trainer.callbacks.append(Preparation(recipe, parts, run, progress))  # type: ignore[attr-defined]
        loaders = build_loaders(recipe, parts, start, trainer)
        if trainer.is_global_zero:
            _say_batch(folder, effective_batch(recipe, trainer.world_size), progress)
        _fit(trainer, run, distiller, loaders, start, recipe.batch_size)
        if not validate:
            if trainer.is_global_zero:
                write_tensors(distiller.student, folder / "student.safetensors")
            run.save(trainer, "last.ckpt")
    return folder


def _fit(
    trainer: lightning.Trainer,
    run: Recorder,
    distiller: Distiller,
    loaders: tuple[Any, Any],
    start: int,
    batch_size: int,
) -> None:
    """Train from where the run's folder is."""
    checkpoint = run.folder / "last.ckpt" if start else None
    try:
        with run.interruptible():
            trainer.fit(distiller, *loaders, ckpt_path=checkpoint, weights_only=True)
    except ValueError as error:
        if "more than 1 value per channel" not in str(error):
            raise
        raise UserError(
            f"batch_size {batch_size} is too small for batch normalisation of a map pooled "
            "to one pixel; take 2 or more"
        ) from error


def _untrained(recipe: Recipe, folder: Path) -> Path:
    """A run of no iterations: a network as its checkpoint has it, to evaluate and compare."""
    data = build_data(recipe, "train")
    student = build_measured(recipe, data.classes)
    with or_nothing(folder):
        if is_first():
            begin(folder, recipe, data, 0)
            write_student(folder, student)
            write_tensors(student, folder / "student.safetensors")
    return folder


def effective_batch(recipe: Recipe, devices: int) -> str:
    """How many images an iteration takes, on so many devices of all machines together."""
    factors = [(recipe.accumulate, "accumulated"), (devices, "devices")]
    shown = [f" x {count} {what}" for count, what in factors if count > 1]
    total = recipe.batch_size * recipe.accumulate * devices
    return f"{recipe.batch_size} a step{''.join(shown)} = {total}" if shown else str(total)


def _say_batch(folder: Path, batch: str, aloud: bool) -> None:
    note(folder, batch=batch)
    if aloud:
        print(f"batch: {batch}", flush=True)


__all__ = ["Stopped", "train"]
