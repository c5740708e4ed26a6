"""What a run writes while it goes: numbers and checkpoints; and how it is stopped."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from math import isnan
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.pytorch.callbacks import Callback

from bpkd.runs.folder import RunFolder, is_first
from bpkd.runs.resuming import copy_best
from bpkd.runs.tables import Table, best
from bpkd.support.files import replacing
from bpkd.support.finite import check_weights
from bpkd.support.messages import say
from bpkd.support.signals import Signalled, Stopped, handling
from bpkd.support.tensors import write_tensors


class Recorder(Callback):
    """Writes ``training.csv``, ``metrics.csv``, the last and the best checkpoint, the student.

    In which order, and why: :mod:`bpkd.runs.folder`.

    Args:
        folder: the run's folder.
        classes: names of the classes, for the columns.
        start: iterations that were done before; rows after it are dropped.
        every: iterations between rows of ``training.csv``.
        checkpoint_every: iterations between checkpoints, besides those before validations.
        validate_every: iterations between validations; 0: there are none.
        best_by: the score of the best checkpoint.
        run: the folder as the run holds it, where it is more than a place.
    """

    def __init__(
        self,
        folder: Path,
        classes: list[str],
        start: int = 0,
        every: int = 10,
        checkpoint_every: int = 1000,
        validate_every: int = 0,
        best_by: str = "mIoU",
        run: RunFolder | None = None,
    ) -> None:
        self.folder = folder
        self.classes = classes
        self.every = every
        self.checkpoint_every = checkpoint_every
        self.validate_every = validate_every
        self.best_by = best_by
        self.iteration = start
        self.stop = 0  # the number of the signal that asks for it
        self.run = run or RunFolder(folder, folder, start)
        own = is_first()
        self.training = Table(self.run.place / "training.csv", start, own)
        self.metrics = Table(self.run.place / "metrics.csv", start, own)
        rows = self.metrics.rows
        self.best = best(rows, best_by)[1]
        self.validated = int(rows[-1]["iteration"]) if rows else 0

    def setup(self, trainer: Any, module: Any, stage: str) -> None:
        """Keep Lightning's own signal handlers out.

        They end a run at SIGTERM with exit code 0, and under SLURM requeue it by a checkpoint that
        nothing here knows of.
        """
        trainer._signal_connector.register_signal_handlers = lambda: None

    def on_train_batch_end(
        self, trainer: Any, module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """A row now and then, checkpoints, and the orderly end of a run that is to stop."""
        if (batch_idx + 1) % trainer.accumulate_grad_batches:
            return  # in the middle of an iteration
        self.iteration = iteration = trainer.global_step
        if trainer.is_global_zero and (iteration % self.every == 0 or iteration == 1):
            # Lightning keeps the last number of a loss that does not count any more.
            names = {"loss", *module.shown}
            values = {k: v.item() for k, v in trainer.callback_metrics.items() if k in names}
            rate = trainer.optimizers[0].param_groups[0]["lr"]
            self.training.append({"iteration": iteration, "lr": rate, **values})
        check_weights(module, iteration)
        stop = self.asked(trainer)
        last = iteration >= trainer.max_steps
        if stop or last or self.due(trainer) or iteration % self.checkpoint_every == 0:
            self.save(trainer)
        if stop and not (last and not self.validate_every):
            raise self.stopped(trainer, stop)

    def on_validation_batch_end(
        self, trainer: Any, module: Any, outputs: Any, batch: Any, batch_idx: int, *_: Any
    ) -> None:
        """A validation need not go on: its checkpoint is there, and it is done again."""
        if trainer.world_size > 1:
            loader = trainer.val_dataloaders
            # The last batches of some processes have no counterpart in others to agree with.
            images = len(range(0, loader.sampler.stop, trainer.world_size)) - 1
            if batch_idx >= images // loader.batch_size:
                return
        if stop := self.asked(trainer):
            raise self.stopped(trainer, stop)

    def on_validation_end(self, trainer: Any, module: Any) -> None:
        """The student, a row of scores, and the checkpoint where they are the best."""
        self.validated = self.iteration
        if not trainer.is_global_zero:
            return
        if self.run.lock is not None:
            self.run.lock.check()
        write_tensors(module.student, self.run.place / "student.safetensors")
        self.metrics.append({"iteration": self.iteration, **self.columns(module.scores)})
        self.metrics.sync()
        score = module.scores[self.best_by]
        if isnan(score):
            say(f"no label in the validation split: {self.best_by} is nan, and no checkpoint best")
        if score > self.best:
            self.best = score
            copy_best(self.run.place)

    def on_save_checkpoint(self, trainer: Any, module: Any, checkpoint: dict[str, Any]) -> None:
        """Keep nothing of a validation that a resume made up for: it tells the runs apart."""
        checkpoint["loops"]["validate_loop"] = checkpoint["loops"]["test_loop"]

    def due(self, trainer: Any) -> bool:
        """Whether this iteration is to be validated."""
        if not self.validate_every:
            return False
        return self.iteration % self.validate_every == 0 or self.iteration >= trainer.max_steps

    def pending(self, trainer: Any) -> bool:
        """Whether this iteration is to be validated, and was not."""
        return self.validated < self.iteration and self.due(trainer)

    def columns(self, scores: dict[str, Any]) -> dict[str, float]:
        """Scores by class become a column a class."""
        flat: dict[str, float] = {}
        for name, value in scores.items():
            if isinstance(value, list):
                flat |= {f"{name}/{c}": v for c, v in zip(self.classes, value, strict=True)}
            else:
                flat[name] = value
        return flat

    def save(self, trainer: lightning.Trainer) -> None:
        """Write last.ckpt from all processes; it appears whole or not at all."""
        if not trainer.is_global_zero:
            trainer.save_checkpoint(self.run.place / "last.ckpt")
            return
        if self.run.lock is not None:
            self.run.lock.check()
        self.training.sync()
        with replacing(self.run.place / "last.ckpt", make_folder=False) as temporary:
            trainer.save_checkpoint(temporary)
        self.run.take_over()
        for table in (self.training, self.metrics):
            table.path = self.run.place / table.path.name

    def asked(self, trainer: lightning.Trainer) -> int:
        """The signal that this run is to stop for, or 0; all processes ask, and get the same."""
        if trainer.world_size == 1:
            return self.stop
        own = torch.tensor(self.stop, device=trainer.strategy.root_device)
        return int(trainer.strategy.reduce(own, reduce_op="max"))

    def stopped(self, trainer: lightning.Trainer, number: int) -> BaseException:
        """What ends a process of a run that stops for a signal."""
        environment = getattr(trainer.strategy, "cluster_environment", None)
        if isinstance(environment, LightningEnvironment) and not trainer.is_global_zero:
            return SystemExit(0)  # the first one, which began it, would be killed for anything else
        return Stopped(number, self.iteration)

    @contextmanager
    def interruptible(self) -> Iterator[None]:
        """A signal once: stop after this iteration, with a checkpoint. Twice: stop at once."""

        def handler(number: int) -> None:
            if self.stop:
                raise Signalled(number)
            self.stop = number  # further processes hear of it after their iteration
            if number == signal.SIGINT:
                say("\nstopping after this iteration; Ctrl-C again to stop at once")

        with handling(handler):
            yield


__all__ = ["Recorder", "Stopped", "Table"]
