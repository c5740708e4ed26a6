"""What carries a run: Lightning's trainer, what records it, its batches, the teacher's cache."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Any

import lightning
import torch
from torch import nn

from bpkd.recipe.schema import Recipe
from bpkd.runs.folder import RunFolder
from bpkd.runs.recorder import Recorder
from bpkd.support.messages import one_line
from bpkd.training.batches import say_batches, training_batches, validation_batches
from bpkd.training.building import Parts
from bpkd.training.preparation import Preparation
from bpkd.training.teacher_cache.opening import open_cache
from bpkd.training.trainer import build_trainer


@dataclass(frozen=True)
class Loop:
    """What a run's parts are trained by.

    Attributes:
        trainer: Lightning's.
        run: writes the numbers and the checkpoints.
        batches: to learn from.
        val_batches: to measure the student on, or None.
    """

    trainer: lightning.Trainer
    run: Recorder
    batches: Any
    val_batches: Any


def build_loop(recipe: Recipe, folder: RunFolder, parts: Parts, progress: bool) -> Loop:
    """What carries a run from where its folder is.

    Args:
        recipe: of the run.
        folder: has begun.
        parts: of the run.
        progress: draw a progress bar, and say what happens.
    """
    run = _recorder(recipe, folder, parts)
    trainer = build_trainer(recipe, run, parts.val is not None, progress)
    trainer.callbacks.append(Preparation(recipe, parts, run, progress))  # type: ignore[attr-defined]
    if trainer.is_global_zero:
        say_batches(recipe, folder.place, parts, trainer.world_size, progress)
    val_batches = validation_batches(recipe, parts, trainer)
    steps, start = (n * recipe.accumulate for n in (recipe.max_iters, folder.start))
    seed = recipe.draws_seed
    batches = training_batches(recipe, parts, parts.drawn, trainer, seed, steps, start)
    open_cache(recipe, parts, trainer, progress)
    if recipe.compile:
        networks = [parts.distiller.student, parts.distiller.teacher]
        why = compile_networks(networks, trainer.strategy.root_device)
        if why and trainer.is_global_zero:
            print(why, file=sys.stderr)
    return Loop(trainer, run, batches, val_batches)


def _recorder(recipe: Recipe, folder: RunFolder, parts: Parts) -> Recorder:
    """What writes the run's numbers and checkpoints."""
    every = min(recipe.evaluation.every or recipe.max_iters, recipe.max_iters)
    return Recorder(
        folder.folder,
        parts.data.classes,
        folder.start,
        checkpoint_every=recipe.checkpoint_every,
        validate_every=every if parts.val is not None else 0,
        best_by=parts.distiller.task.best_by,
        run=folder,
    )


def compile_networks(networks: list[nn.Module | None], device: torch.device) -> str | None:
    """Have networks compiled when they are first called; their keys and weights stay as they are.

    The losses stay as they are: they are a small share of a step, and the sizes in some depend on
    the labels.

    Args:
        networks: student and teacher.
        device: that they will work on.

    Returns:
        Why nothing is compiled, in a line; None: all is well.
    """
    try:
        # The only answer that counts: a compiler, its headers and torch's version of Triton.
        probe = torch.ones(8, device=device)
        torch.compile(lambda x: (x * 2).sin())(probe)
    except Exception as error:  # whatever the machine lacks
        lines = [line for line in str(error).splitlines() if line.strip()]
        reason = lines[0] if lines else one_line(error)
        return f"compile: nothing can be compiled here ({reason[:150]}); the run goes on without"
    finally:
        torch.compiler.reset()
    for network in networks:
        if network is not None:
            network.compile()
    return None
