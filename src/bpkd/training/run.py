"""From a recipe to a trained student in a run's folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lightning
import torch

from bpkd.datasets.loading import eval_loader, train_loader
from bpkd.datasets.transforms import training_transform
from bpkd.errors import UserError
from bpkd.recipe.loading import load_recipe
from bpkd.recipe.schema import Recipe
from bpkd.runs.folder import begin, is_first, note, or_nothing, prepare
from bpkd.runs.loading import write_student
from bpkd.runs.recorder import Recorder, Stopped
from bpkd.support.tensors import write_tensors
from bpkd.training.building import (
    build_data,
    build_inference,
    build_losses,
    build_measures,
    build_student,
)
from bpkd.training.distiller import Distiller
from bpkd.training.optimization import optimization
from bpkd.training.teachers import build_teacher
from bpkd.training.trainer import build_trainer, quiet


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
    data = build_data(recipe, "train")
    val = build_data(recipe, "val") if recipe.data.val else None
    distiller = build_distiller(recipe, data)
    with or_nothing(folder):
        if is_first():
            begin(folder, recipe, data, start)
            write_student(folder, distiller.student)
        run = Recorder(folder, data.classes, start, checkpoint_every=recipe.checkpoint_every)
        trainer = build_trainer(recipe, run, val is not None, progress)
        loaders = build_loaders(recipe, data, val, start, trainer)
        if trainer.is_global_zero:
            _say_batch(folder, effective_batch(recipe, trainer.world_size), progress)
        _fit(trainer, run, distiller, loaders, start, recipe.batch_size)
        if val is None:
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
    student = build_student(recipe, len(data.classes))
    with or_nothing(folder):
        if is_first():
            begin(folder, recipe, data, 0)
            write_student(folder, student)
            write_tensors(student, folder / "student.safetensors")
    return folder


def build_distiller(recipe: Recipe, data: Any) -> Distiller:
    """Student, teacher and losses of a recipe, ready to train on a data set."""
    student = build_student(recipe, len(data.classes))
    teacher = build_teacher(recipe, data.classes)
    losses, weighted = build_losses(recipe, student, teacher, len(data.classes))
    return Distiller(
        student.to(memory_format=torch.channels_last),  # type: ignore[call-overload]
        teacher,
        losses,
        weighted,
        optimization(recipe),
        build_measures(recipe.evaluation, data),
        build_inference(recipe.evaluation),
        recipe.auxiliary_weight,
        data.ignore_index,
        recipe.seed,
    )


def build_loaders(
    recipe: Recipe, data: Any, val: Any, start: int, trainer: lightning.Trainer
) -> tuple[Any, Any]:
    """This process's batches to train on from an iteration on, and those to validate on.

    Args:
        recipe: says how the images are cut and gathered.
        data: the data set to train on.
        val: the data set to validate on, or None.
        start: iterations that are done.
        trainer: knows which process this is.
    """
    ranks = {"rank": trainer.global_rank, "world_size": trainer.world_size}
    batches = train_loader(
        data,
        training_transform(ignore_index=data.ignore_index, **recipe.augment.model_dump()),
        seed=recipe.seed,
        batch_size=recipe.batch_size,
        iterations=recipe.max_iters * recipe.accumulate,
        start=start * recipe.accumulate,
        workers=recipe.workers,
        **ranks,
    )
    if val is None:
        return batches, None
    size = recipe.evaluation.batch_size
    return batches, eval_loader(val, batch_size=size, workers=recipe.workers, **ranks)


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
