"""What losses learn on the teacher before the student's first iteration."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from lightning.pytorch.callbacks import Callback
from torch import Tensor

from bpkd.recipe.schema import Recipe
from bpkd.runs.recorder import Recorder
from bpkd.support.messages import say
from bpkd.support.seeds import seeded
from bpkd.support.tensors import write_tensors
from bpkd.training.batches import training_batches
from bpkd.training.building import Parts


class Preparation(Callback):
    """Calls ``prepare(teacher, batches, own_loss)`` of losses whose ``prepare_iters`` is above 0.

    Here rather than before there is a trainer: by now teacher and losses are on their device, the
    processes know each other, and a run that goes on has its losses from its checkpoint. What is
    learnt is written into the run's folder as ``NAME.safetensors``, for other runs to take.

    Args:
        recipe: says how the images are cut and gathered.
        parts: of the run.
        run: knows its folder, and whether it is to stop.
        aloud: say what happens.
    """

    def __init__(self, recipe: Recipe, parts: Parts, run: Recorder, aloud: bool) -> None:
        self.recipe, self.parts, self.run, self.aloud = recipe, parts, run, aloud

    def on_train_start(self, trainer: Any, module: Any) -> None:
        """Lightning's hook."""
        for name, loss in module.losses.items():
            iterations = int(getattr(loss, "prepare_iters", 0))
            if not iterations:
                continue
            if self.aloud and trainer.is_global_zero:
                say(f"{name}: learns on the teacher for {iterations:,} iterations")
            off = torch.autocast(module.device.type, enabled=False)
            with seeded(self.recipe.seed + 2), torch.enable_grad(), off:
                batches = self.batches(trainer, module, iterations)
                loss.prepare(module.teacher, batches, self.own_loss)
            if trainer.is_global_zero:
                write_tensors(loss, self.run.run.place / f"{name}.safetensors")

    def own_loss(self, output: Any, target: Any) -> Tensor:
        """What a network would be trained by, had it given that output."""
        task = self.parts.distiller.task
        return task.own_loss(task.output(output, "teacher"), target)[0]

    def batches(self, trainer: Any, module: Any, iterations: int) -> Iterator[tuple[Tensor, Any]]:
        """Images and targets on the module's device, as in training but for their draws.

        Raises:
            Stopped: the run is to stop; begun anew, it learns anew.
        """
        task, recipe = self.parts.distiller.task, self.recipe
        seed = recipe.seed + 1
        loader = training_batches(recipe, self.parts, self.parts.data, trainer, seed, iterations)
        for images, target in loader:
            if stop := self.run.asked(trainer):
                raise self.run.stopped(trainer, stop)
            yield images.to(module.device), task.target(target, module.device)
