"""The batches of a run: how many images an iteration takes, and which of them this process gets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lightning

from bpkd.datasets.loading import eval_loader, to_learn_from, train_loader
from bpkd.recipe.schema import Recipe
from bpkd.runs.environment import note
from bpkd.support.messages import say
from bpkd.training.building import Parts
from bpkd.training.unlabelled import described


def training_batches(
    recipe: Recipe,
    parts: Parts,
    data: Any,
    trainer: lightning.Trainer,
    seed: int,
    steps: int,
    start: int = 0,
) -> Any:
    """This process's batches to learn from.

    Args:
        recipe: says how the images are cut and gathered.
        parts: of the run.
        data: what is drawn from.
        trainer: knows which process this is.
        seed: decides which image comes when.
        steps: batches of the whole run.
        start: those that are done.
    """
    task = parts.distiller.task
    return train_loader(
        to_learn_from(data),
        task.transform(recipe.augment),
        seed=seed,
        batch_size=recipe.batch_size,
        iterations=steps,
        start=start,
        workers=recipe.workers,
        gather=task.gather,
        rank=trainer.global_rank,
        world_size=trainer.world_size,
    )


def validation_batches(recipe: Recipe, parts: Parts, trainer: lightning.Trainer) -> Any:
    """This process's batches to measure the student on; None where nothing is."""
    if parts.val is None:
        return None
    return eval_loader(
        parts.val,
        batch_size=recipe.evaluation.batch_size,
        workers=recipe.workers,
        gather=parts.distiller.task.gather,
        rank=trainer.global_rank,
        world_size=trainer.world_size,
    )


def effective_batch(recipe: Recipe, devices: int) -> str:
    """How many images an iteration takes, on so many devices of all machines together."""
    factors = [(recipe.accumulate, "accumulated"), (devices, "devices")]
    shown = [f" x {count} {what}" for count, what in factors if count > 1]
    total = recipe.batch_size * recipe.accumulate * devices
    return f"{recipe.batch_size} a step{''.join(shown)} = {total}" if shown else str(total)


def say_batches(recipe: Recipe, folder: Path, parts: Parts, devices: int, aloud: bool) -> None:
    """Note, and print, how many images an iteration takes, and which of them have no labels."""
    batch = effective_batch(recipe, devices)
    note(folder, batch=batch)
    said = [f"batch: {batch}"]
    if parts.distiller.unlabelled:
        said.append(described(recipe, parts.drawn))
        note(folder, unlabelled=said[-1])
    for line in said if aloud else ():
        say(line)
