"""From a recipe to a trained student in a run's folder."""

from __future__ import annotations

import json
import logging
import platform
import shutil
import sys
import warnings
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import lightning
import timm
import torch
import torchvision
import yaml
from lightning.pytorch.callbacks import TQDMProgressBar
from lightning.pytorch.utilities import rank_zero_only

import bpkd
from bpkd.building import (
    build_data,
    build_inference,
    build_losses,
    build_measures,
    build_student,
    build_teacher,
    write_classes,
)
from bpkd.datasets.loading import eval_loader, train_loader
from bpkd.datasets.transforms import training_transform
from bpkd.distiller import Distiller
from bpkd.errors import UserError
from bpkd.files import replacing, write_tensors
from bpkd.optimization import optimization
from bpkd.recipe import Recipe, dump, load_recipe
from bpkd.run_folder import RunFolder, Stopped


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
    start = _prepare(folder, recipe, resume, overwrite)
    if start >= recipe.max_iters:
        return folder
    _quiet()
    data = build_data(recipe, "train")
    val = build_data(recipe, "val") if recipe.data.val else None
    distiller = build_distiller(recipe, data)
    if _is_first():
        _record(folder, recipe, data, start)
    run = RunFolder(folder, data.classes, start)
    trainer = build_trainer(recipe, run, val is not None, progress)
    transform = training_transform(ignore_index=data.ignore_index, **recipe.augment.model_dump())
    ranks = {"rank": trainer.global_rank, "world_size": trainer.world_size}
    batches = train_loader(
        data,
        transform,
        seed=recipe.seed,
        batch_size=recipe.batch_size,
        iterations=recipe.max_iters,
        start=start,
        workers=recipe.workers,
        **ranks,
    )
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
    if val is None:
        if trainer.is_global_zero:
            write_tensors(distiller.student, folder / "student.safetensors")
        run.save(trainer, "last.ckpt")
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


def build_trainer(
    recipe: Recipe, run: RunFolder, validate: bool, progress: bool
) -> lightning.Trainer:
    """Lightning's trainer, counting iterations."""
    callbacks: list[Any] = [run]
    if progress:
        callbacks.append(TQDMProgressBar(refresh_rate=1 if sys.stderr.isatty() else 50))
    every = min(recipe.evaluation.every or recipe.max_iters, recipe.max_iters)
    on_gpu = torch.cuda.is_available()
    precision: Any = "32-true"
    if recipe.precision == "bf16" or (
        recipe.precision == "auto" and on_gpu and torch.cuda.is_bf16_supported(False)
    ):
        precision = "bf16-mixed"
    return lightning.Trainer(
        max_steps=recipe.max_iters,
        max_epochs=-1,
        val_check_interval=every if validate else None,
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
        sync_batchnorm=on_gpu,
        use_distributed_sampler=False,
        default_root_dir=run.folder,
    )


def _prepare(folder: Path, recipe: Recipe, resume: bool, overwrite: bool) -> int:
    """See that the run's folder is free, or find how far the run in it got."""
    last = folder / "last.ckpt"
    # Further processes of a run find the folder that the first one began.
    further = not _is_first()
    if (folder / "recipe.yaml").is_file():
        if overwrite or (further and not resume):
            return 0
        if not resume:
            raise UserError(
                f"{folder} already holds a run; go on with it by --resume, replace it by "
                "--overwrite, or choose another folder by run=FOLDER"
            )
        _same_recipe(folder, recipe)
        if last.is_file():
            return int(torch.load(last, map_location="cpu", weights_only=True)["global_step"])
    elif folder.is_dir() and any(folder.iterdir()) and not further:
        raise UserError(f"{folder} holds files that are no run; choose another run=FOLDER")
    return 0


def _is_first() -> bool:
    """Whether this is the run's first process, before there is a trainer to ask."""
    return bool(getattr(rank_zero_only, "rank", 0) == 0)


def _record(folder: Path, recipe: Recipe, data: Any, start: int) -> None:
    """Begin the run's folder, now that everything that the recipe names is there."""
    if start:
        return
    shutil.rmtree(folder, ignore_errors=True)  # empty, or a run that is to be overwritten
    try:
        with replacing(folder / "recipe.yaml") as file:
            file.write_text(dump(recipe))
        with replacing(folder / "environment.json") as file:
            file.write_text(json.dumps(environment(), indent=2) + "\n")
        write_classes(folder, data)
    except UserError:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def _same_recipe(folder: Path, recipe: Recipe) -> None:
    """Refuse to go on with another recipe than the run began with."""
    before = yaml.safe_load((folder / "recipe.yaml").read_text())
    now = yaml.safe_load(dump(recipe))
    for key, value in now.items():
        if before.get(key) != value and key not in ("workers", "devices", "nodes"):
            raise UserError(
                f"{folder}: the run began with {key}: {before.get(key)!r}, the recipe now says "
                f"{value!r}; resume with the same recipe, or choose another run=FOLDER"
            )


def environment() -> dict[str, str]:
    """Versions and machine, for the run's folder."""
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else "none"
    modules = {"bpkd": bpkd, "torch": torch, "torchvision": torchvision, "timm": timm}
    versions = {name: str(module.__version__) for name, module in modules.items()}
    return {
        **versions,
        "lightning": lightning.__version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "gpu": gpu,
        "threads": str(torch.get_num_threads()),
        "command": " ".join(sys.argv),
    }


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
