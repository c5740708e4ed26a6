"""Lightning's trainer as a recipe wants it, and quiet."""

from __future__ import annotations

import logging
import warnings
from typing import Any

import lightning
import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException

from bpkd.errors import UserError
from bpkd.recipe.schema import Recipe
from bpkd.runs.recorder import Recorder
from bpkd.support.messages import one_line
from bpkd.training.loggers import build_loggers
from bpkd.training.processes import SyncBatchNorm, check_started, strategy
from bpkd.training.progress import lines_or_bar


def build_trainer(
    recipe: Recipe, run: Recorder, validate: bool, progress: bool
) -> lightning.Trainer:
    """Lightning's trainer, counting iterations."""
    callbacks: list[Any] = [run]
    if progress:
        callbacks.append(lines_or_bar(run, recipe.batch_size * recipe.accumulate))
    every = min(recipe.evaluation.every or recipe.max_iters, recipe.max_iters)
    check_started(recipe)
    arguments: dict[str, Any] = dict(
        max_steps=recipe.max_iters,
        max_epochs=-1,
        accumulate_grad_batches=recipe.accumulate,
        gradient_clip_val=recipe.clip_grad,
        # Lightning counts what is loaded here, not steps of the optimizer.
        val_check_interval=every * recipe.accumulate if validate else None,
        check_val_every_n_epoch=None,
        limit_val_batches=1.0 if validate else 0,
        num_sanity_val_steps=0,
        callbacks=callbacks,
        enable_progress_bar=progress,
        enable_checkpointing=False,
        enable_model_summary=False,
        log_every_n_steps=10,
        precision=_precision(recipe.precision),
        devices=recipe.devices,
        num_nodes=recipe.nodes,
        strategy=strategy(recipe),
        logger=build_loggers(recipe, run.folder),
        plugins=[SyncBatchNorm()] if recipe.sync_batchnorm and torch.cuda.is_available() else None,
        use_distributed_sampler=False,
        default_root_dir=run.folder,
    )
    try:
        return lightning.Trainer(**arguments)
    except MisconfigurationException as error:
        raise UserError(f"devices={recipe.devices}: {one_line(error)}") from error


def _precision(asked: str) -> str:
    """Lightning's name of the precision: bfloat16 where it is asked for, or the GPU has it."""
    has_bf16 = torch.cuda.is_available() and torch.cuda.is_bf16_supported(False)
    in_bf16 = asked == "bf16" or (asked == "auto" and has_bf16)
    return "bf16-mixed" if in_bf16 else "32-true"


def quiet() -> None:
    """Lightning's advice is for its own users; ours read one line a finding."""
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="lightning")
    warnings.filterwarnings("ignore", message=".*isinstance.*LeafSpec.*")
