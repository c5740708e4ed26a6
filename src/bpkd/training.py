"""From a recipe to a trained student in a run's folder."""

from __future__ import annotations

import logging
import shutil
import warnings
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException

from bpkd.building import (
    build_data,
    build_inference,
    build_losses,
    build_measures,
    build_student,
    write_student,
)
from bpkd.datasets.loading import eval_loader, train_loader
from bpkd.datasets.transforms import training_transform
from bpkd.distiller import Distiller
from bpkd.errors import UserError
from bpkd.files import write_tensors
from bpkd.messages import one_line
from bpkd.optimization import optimization
from bpkd.processes import SyncBatchNorm, strategy
from bpkd.progress import ProgressBar
from bpkd.recipe import Recipe, load_recipe
from bpkd.recorder import Recorder, Stopped
from bpkd.run_folder import begin, is_first, note, prepare
from bpkd.teachers import build_teacher


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
    _quiet()
    data = build_data(recipe, "train")
    val = build_data(recipe, "val") if recipe.data.val else None
    distiller = build_distiller(recipe, data)
    if is_first():
        begin(folder, recipe, data, start)
        write_student(folder, distiller.student)
    run = Recorder(folder, data.classes, start, checkpoint_every=recipe.checkpoint_every)
    trainer = build_trainer(recipe, run, val is not None, progress)
    transform = training_transform(ignore_index=data.ignore_index, **recipe.augment.model_dump())
    ranks = {"rank": trainer.global_rank, "world_size": trainer.world_size}
    batches = train_loader(
        data,
        transform,
        seed=recipe.seed,
        batch_size=recipe.batch_size,
        iterations=recipe.max_iters * recipe.accumulate,
        start=start * recipe.accumulate,
        workers=recipe.workers,
        **ranks,
    )
    if trainer.is_global_zero:
        _say_batch(folder, effective_batch(recipe, trainer.world_size), progress)
    held_out = None
    if val is not None:
        size = recipe.evaluation.batch_size
        held_out = eval_loader(val, batch_size=size, workers=recipe.workers, **ranks)
    checkpoint = folder / "last.ckpt" if start else None
    try:
        with run.interruptible():
            trainer.fit(distiller, batches, held_out, ckpt_path=checkpoint, weights_only=True)
    except UserError:
        if trainer.is_global_zero and not (folder / "last.ckpt").is_file():
            shutil.rmtree(folder)  # there is nothing to go on from
        raise
    except ValueError as error:
        if "more than 1 value per channel" not in str(error):
            raise
        raise UserError(
            f"batch_size {recipe.batch_size} is too small for batch normalisation of a map pooled "
            "to one pixel; take 2 or more"
        ) from error
    if val is None:
        if trainer.is_global_zero:
            write_tensors(distiller.student, folder / "student.safetensors")
        run.save(trainer, "last.ckpt")
    return folder


def _untrained(recipe: Recipe, folder: Path) -> Path:
    """A run of no iterations: a network as its checkpoint has it, to evaluate and compare."""
    data = build_data(recipe, "train")
    student = build_student(recipe, len(data.classes))
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


def build_trainer(
    recipe: Recipe, run: Recorder, validate: bool, progress: bool
) -> lightning.Trainer:
    """Lightning's trainer, counting iterations."""
    callbacks: list[Any] = [run]
    if progress:
        callbacks.append(ProgressBar())
    every = min(recipe.evaluation.every or recipe.max_iters, recipe.max_iters)
    on_gpu = torch.cuda.is_available()
    precision: Any = "32-true"
    if recipe.precision == "bf16" or (
        recipe.precision == "auto" and on_gpu and torch.cuda.is_bf16_supported(False)
    ):
        precision = "bf16-mixed"
    arguments: dict[str, Any] = dict(
        max_steps=recipe.max_iters,
        max_epochs=-1,
        accumulate_grad_batches=recipe.accumulate,
        # Lightning counts what is loaded here, not steps of the optimizer.
        val_check_interval=every * recipe.accumulate if validate else None,
        check_val_every_n_epoch=None,
        limit_val_batches=1.0 if validate else 0,
        num_sanity_val_steps=0,
        callbacks=callbacks,
        enable_progress_bar=progress,
        enable_checkpointing=False,
        enable_model_summary=False,
        logger=_loggers(run.folder),
        log_every_n_steps=10,
        precision=precision,
        devices=recipe.devices,
        num_nodes=recipe.nodes,
        strategy=strategy(recipe),
        plugins=[SyncBatchNorm()] if recipe.sync_batchnorm and on_gpu else None,
        use_distributed_sampler=False,
        default_root_dir=run.folder,
    )
    try:
        return lightning.Trainer(**arguments)
    except MisconfigurationException as error:
        raise UserError(f"devices={recipe.devices}: {one_line(error)}") from error


def _loggers(folder: Path) -> Any:
    """TensorBoard where it is installed; the CSV files are written in any case."""
    if find_spec("tensorboard") is None:
        return False
    from lightning.pytorch.loggers import TensorBoardLogger  # noqa: PLC0415

    return TensorBoardLogger(folder, name="", version="tensorboard")


def _quiet(names: Iterable[str] = ("lightning.pytorch", "lightning.fabric")) -> None:
    """Lightning's advice is for its own users; ours read one line a finding."""
    for name in names:
        logging.getLogger(name).setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="lightning")
    warnings.filterwarnings("ignore", message=".*isinstance.*LeafSpec.*")


__all__ = ["Stopped", "train"]
