"""What a run writes while it goes: numbers and checkpoints; and how it is stopped."""

from __future__ import annotations

import csv
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import lightning
from lightning.pytorch.callbacks import Callback

from bpkd.support.files import replacing, replacing_csv
from bpkd.support.tensors import write_tensors


class Stopped(Exception):
    """The user stopped the run; its last checkpoint is written."""


class Recorder(Callback):
    """Writes ``training.csv``, ``metrics.csv``, the last and the best checkpoint, the student.

    Args:
        folder: the run's folder.
        classes: names of the classes, for the columns.
        start: iterations that were done before; rows after it are dropped.
        every: iterations between rows of ``training.csv``.
        checkpoint_every: iterations between checkpoints, besides those at validations.
        best_by: the score of the best checkpoint.
    """

    def __init__(
        self,
        folder: Path,
        classes: list[str],
        start: int = 0,
        every: int = 10,
        checkpoint_every: int = 1000,
        best_by: str = "mIoU",
    ) -> None:
        self.folder = folder
        self.classes = classes
        self.every = every
        self.checkpoint_every = checkpoint_every
        self.best_by = best_by
        self.stop = False
        self.training = Table(folder / "training.csv", start)
        self.metrics = Table(folder / "metrics.csv", start)
        rows = self.metrics.rows
        self.best = max((float(row[best_by]) for row in rows), default=float("-inf"))

    def on_train_batch_end(
        self, trainer: Any, module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """A row now and then, and the orderly end of a run that is to stop."""
        if (batch_idx + 1) % trainer.accumulate_grad_batches:
            return  # in the middle of an iteration
        iteration = trainer.global_step
        if trainer.is_global_zero and (iteration % self.every == 0 or iteration == 1):
            # Lightning keeps the last number of a loss that does not count any more.
            names = {"loss", *module.shown}
            values = {k: v.item() for k, v in trainer.callback_metrics.items() if k in names}
            rate = trainer.optimizers[0].param_groups[0]["lr"]
            self.training.append({"iteration": iteration, "lr": rate, **values})
        if self.stop or iteration % self.checkpoint_every == 0:
            self.save(trainer, "last.ckpt")
        if self.stop:
            raise Stopped

    def on_validation_end(self, trainer: Any, module: Any) -> None:
        """A row of scores, and the checkpoints."""
        if trainer.sanity_checking:
            return
        if trainer.is_global_zero:
            self.metrics.append({"iteration": trainer.global_step, **self.columns(module.scores)})
            write_tensors(module.student, self.folder / "student.safetensors")
        self.save(trainer, "last.ckpt")
        if (score := module.scores[self.best_by]) > self.best:
            self.best = score
            self.save(trainer, "best.ckpt")

    def columns(self, scores: dict[str, Any]) -> dict[str, float]:
        """Scores by class become a column a class."""
        flat: dict[str, float] = {}
        for name, value in scores.items():
            if isinstance(value, list):
                flat |= {f"{name}/{c}": v for c, v in zip(self.classes, value, strict=True)}
            else:
                flat[name] = value
        return flat

    def save(self, trainer: lightning.Trainer, name: str) -> None:
        """Write a checkpoint from all processes; it appears whole or not at all."""
        if not trainer.is_global_zero:
            trainer.save_checkpoint(self.folder / name)
            return
        with replacing(self.folder / name) as temporary:
            trainer.save_checkpoint(temporary)

    @contextmanager
    def interruptible(self) -> Iterator[None]:
        """Ctrl-C once: stop after this iteration, with a checkpoint. Twice: stop at once."""

        def handler(number: int, frame: object) -> None:
            if self.stop:
                raise KeyboardInterrupt
            self.stop = True
            print("\nstopping after this iteration; Ctrl-C again to stop at once", flush=True)

        before = signal.signal(signal.SIGINT, handler)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, before)


class Table:
    """A CSV file that grows by rows, keyed by iteration; whole at every moment.

    Args:
        path: the file; rows that it already holds are kept up to iteration ``start``.
        start: iterations that count as done.
    """

    def __init__(self, path: Path, start: int = 0) -> None:
        self.path = path
        self.rows: list[dict[str, Any]] = []
        if path.is_file() and start > 0:
            with path.open(newline="", encoding="utf-8") as stream:
                self.rows = [r for r in csv.DictReader(stream) if int(r["iteration"]) <= start]
        if path.is_file():
            self._write()

    def append(self, row: dict[str, Any]) -> None:
        """Add a row; a column that is new is added to the whole table."""
        known = set(self.rows[0]) if self.rows else set()
        self.rows.append(row)
        if set(row) == known and self.path.is_file():
            whole = self.path.stat().st_size
            try:
                with self.path.open("a", newline="", encoding="utf-8") as stream:
                    csv.DictWriter(stream, list(self.rows[0])).writerow(row)
            except OSError:
                os.truncate(self.path, whole)  # a full disk must not leave half a row
                raise
        else:
            self._write()

    def _write(self) -> None:
        columns = list(dict.fromkeys(name for row in self.rows for name in row))
        with replacing_csv(self.path) as stream:
            writer = csv.DictWriter(stream, columns)
            writer.writeheader()
            writer.writerows(self.rows)
