"""From a recipe to a trained student in a run's folder."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

from bpkd.datasets.building import build_data
from bpkd.datasets.checking.first_look import look
from bpkd.errors import UserError
from bpkd.recipe.instance import InstanceRecipe
from bpkd.recipe.loading import load_recipe
from bpkd.recipe.schema import Recipe
from bpkd.recipe.trust import own_recipe
from bpkd.runs.folder import RunFolder, is_first, opened
from bpkd.runs.recorder import Stopped
from bpkd.runs.resuming import check_fits, other_ways, read_last
from bpkd.support.memory import check_room, enough_memory, out_of_memory
from bpkd.support.messages import one_line
from bpkd.support.tensors import write_student_of, write_tensors
from bpkd.training.building import Parts, build
from bpkd.training.class_maps import build_measured
from bpkd.training.class_weights import write_class_weights
from bpkd.training.loggers import check_loggers, end_loggers
from bpkd.training.loop import Loop, build_loop
from bpkd.training.scrutiny import scrutinise
from bpkd.training.trainer import quiet

#: Bytes of a pixel of a batch: three numbers and its label.
_PIXEL = 3 * 4 + 8


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
        overwrite: replace the run in the folder, once the new one has its first checkpoint.
        progress: draw a progress bar.

    Returns:
        The run's folder: ``recipe.yaml``, ``environment.json``, ``training.csv``,
        ``metrics.csv``, ``last.ckpt``, ``best.ckpt``, ``student.safetensors``, ``classes.csv``.

    Raises:
        UserError: anything the user can mend.
        Stopped: Ctrl-C, SIGTERM, SIGHUP or SIGUSR1; ``last.ckpt`` is written.
    """
    if not isinstance(recipe, Recipe):
        recipe = load_recipe(recipe, overrides)
    check_loggers(recipe.loggers or ())
    if resume and recipe.max_iters == 0:
        _map_as_kept(recipe)
    with enough_memory(recipe.with_less_memory()), opened(recipe, resume, overwrite) as folder:
        if recipe.max_iters and not folder.done:
            _trained(recipe, folder, progress)
        elif not folder.done:
            _untrained(recipe, folder)
    return folder.folder


def _trained(recipe: Recipe, folder: RunFolder, progress: bool) -> None:
    """Build all parts of a run, begin its folder, and go."""
    quiet()
    _check_batch(recipe)
    parts = build(recipe, folder.folder if folder.start else None)
    _begin(recipe, folder, parts)
    loop = build_loop(recipe, folder, parts, progress)
    try:
        _fit(loop, parts, recipe)
    finally:
        end_loggers(loop.trainer)


def _untrained(recipe: Recipe, folder: RunFolder) -> None:
    """A run of no iterations: a network as its checkpoint has it, to evaluate and compare."""
    data = build_data(recipe, "train")
    val = build_data(recipe, "val") if recipe.data.val else None
    student = build_measured(recipe, data.classes)
    looked = look(data, val, recipe.data) if is_first() else None
    folder.begin(recipe, data, student, looked=looked)
    if folder.lock is not None:
        write_tensors(student, folder.place / "student.safetensors")
        folder.take_over()


def _map_as_kept(recipe: Recipe) -> None:
    """Make a class_map of names that of indices which a run keeps, to be held against it."""
    with suppress(UserError):  # what it is built of may have been moved since
        build_measured(recipe, build_data(recipe, "train").classes)


def _check_batch(recipe: Recipe) -> None:
    """Refuse a batch whose images and labels alone no memory here takes."""
    if isinstance(recipe, InstanceRecipe):
        return
    height, width = recipe.augment.crop
    needed = recipe.batch_size * height * width * _PIXEL
    what = f"a batch of {recipe.batch_size:,} crops of {height}x{width}"
    check_room(needed, what, recipe.with_less_memory())


def _begin(recipe: Recipe, folder: RunFolder, parts: Parts) -> None:
    """Look at data and teacher before anything is learnt from them, and begin the run's folder."""
    data, distiller = parts.data, parts.distiller
    if is_first() and folder.start == 0:
        scrutinise(parts)
    looked = look(data, parts.val, recipe.data)
    best_by = distiller.task.best_by
    folder.begin(recipe, data, distiller.student, distiller.teacher, best_by, looked)
    if folder.lock is not None and not folder.resumed and recipe.class_weights == "balanced":
        write_class_weights(folder.place, data, parts.class_weights or ())


def _fit(loop: Loop, parts: Parts, recipe: Recipe) -> None:
    """Train from where the run's folder is, to the last iteration's student."""
    trainer, run, distiller = loop.trainer, loop.run, parts.distiller
    start = run.iteration
    last = run.folder / "last.ckpt" if start else None
    options: dict[str, Any] = {"ckpt_path": last, "weights_only": True}
    if last is not None:
        check_fits(last, distiller)
    try:
        with run.interruptible():
            if start and run.pending(trainer):  # it was cut off in its validation
                trainer.validate(distiller, loop.val_batches, verbose=False, **options)
            if start < recipe.max_iters:
                trainer.fit(distiller, loop.batches, loop.val_batches, **options)
            if run.pending(trainer):  # the last iteration is no multiple of evaluation.every
                trainer.validate(distiller, loop.val_batches, verbose=False)
    except (ValueError, KeyError, TypeError, AttributeError, RuntimeError, IndexError) as error:
        if isinstance(error, UserError) or out_of_memory(error) is not None:
            raise
        if last is not None and run.iteration == start and run.validated <= start:
            why = f"cannot be gone on from ({one_line(error)[:200]}){other_ways(last)}"
            raise UserError(f"{last}: {why}") from error
        if "more than 1 value per channel" not in str(error):
            raise
        raise UserError(
            f"batch_size {recipe.batch_size} is too small for batch normalisation of a map pooled "
            "to one pixel; take 2 or more"
        ) from error
    if not run.validate_every and trainer.is_global_zero:
        state = read_last(run.folder / "last.ckpt")["state_dict"]
        write_student_of(state, run.folder / "student.safetensors")


__all__ = ["Stopped", "train"]
