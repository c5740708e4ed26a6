"""How a run is going: a bar in a terminal, plain lines in a file, a pipe or a notebook."""

from __future__ import annotations

import sys
import time
from collections import deque
from typing import Any

import torch
from lightning.pytorch.callbacks import ProgressBar as Face
from tqdm import tqdm

from bpkd.metrics.measures import scalars
from bpkd.runs.recorder import Recorder
from bpkd.support.messages import say

#: Seconds between two lines at most, once a run is under way; the first come sooner.
PATIENCE = 60.0
#: Scores beside the one that the best checkpoint goes by, by their first letters.
SHOWN = ("aAcc", "trimap", "boundary", "AP75", "boundary_AP")


def lines_or_bar(run: Recorder, images: int) -> Progress:
    """What suits where the command writes to.

    Args:
        run: knows the iteration and the best score.
        images: of an iteration, on one device.
    """
    return Bar(run, images) if sys.stderr.isatty() else Progress(run, images)


class Progress(Face):
    """Plain lines, none of them ever taken back; counts iterations, times them, tells scores.

    Args:
        run: knows the iteration and the best score.
        images: of an iteration, on one device.
    """

    def __init__(self, run: Recorder, images: int) -> None:
        super().__init__()
        self.run, self.images, self.enabled = run, images, True
        self.validation = 0.0  # seconds of the last one
        self.due = 0.0
        # When recent iterations ended; what comes between two of them counts only in training.
        self.recent: deque[tuple[float, int]] = deque(maxlen=50)

    def disable(self) -> None:
        """Lightning's hook: processes other than the first are silent."""
        self.enabled = False

    def enable(self) -> None:
        """Lightning's hook."""
        self.enabled = True

    # Training ------------------------------------------------------------------------------------

    def on_train_start(self, trainer: Any, module: Any) -> None:
        """Begin to count."""
        self.begun = time.monotonic()
        self.recent.append((self.begun, trainer.global_step))
        self.due = self.begun

    def on_train_batch_end(
        self, trainer: Any, module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """An iteration is done, or a part of one that accumulates."""
        if not self.enabled or (batch_idx + 1) % trainer.accumulate_grad_batches:
            return
        now = time.monotonic()
        self.recent.append((now, trainer.global_step))
        if now >= self.due or trainer.global_step >= trainer.max_steps:
            self.due = now + self.pause(now - self.begun)
            self.show(trainer)

    def pause(self, elapsed: float) -> float:
        """Seconds until the next line: they grow with the run."""
        return min(PATIENCE, max(5.0, elapsed))

    def show(self, trainer: Any) -> None:
        """Say how far it is."""
        done, all_ = trainer.global_step, trainer.max_steps
        share = f"iteration {done:,} of {all_:,} ({done / all_:.0%})"
        left = f", {clock(self.left(trainer))} left" if done < all_ else ""
        say(f"{share}: {self.numbers(trainer)}{left}")

    def numbers(self, trainer: Any) -> str:
        """Loss, speed and memory."""
        loss = trainer.callback_metrics.get("loss")
        parts = [] if loss is None else [f"loss {loss.item():.4g}"]
        if (rate := self.rate()) > 0:
            images = rate * self.images * trainer.world_size
            parts.append(f"{images:.0f} images/s" if images >= 10 else f"{images:.2g} images/s")
        if torch.cuda.is_available():
            parts.append(f"{torch.cuda.max_memory_reserved() / 2**30:.1f} GiB")
        return ", ".join(parts)

    def rate(self) -> float:
        """Iterations a second, of the last ones."""
        (begin, first), (end, last) = self.recent[0], self.recent[-1]
        return (last - first) / (end - begin) if end > begin else 0.0

    def left(self, trainer: Any) -> float:
        """Seconds that the rest will take, validations too, as far as one was seen."""
        rest = trainer.max_steps - trainer.global_step
        every = self.run.validate_every
        rate = self.rate()
        validations = -(-rest // every) if every else 0
        return (rest / rate if rate else 0.0) + validations * self.validation

    # Validation ----------------------------------------------------------------------------------

    def on_validation_start(self, trainer: Any, module: Any) -> None:
        """Stop the clock of training."""
        self.stopped = time.monotonic()

    def on_validation_end(self, trainer: Any, module: Any) -> None:
        """Tell the scores."""
        now = time.monotonic()
        self.validation = now - self.stopped
        self.recent = deque(((t + self.validation, n) for t, n in self.recent), maxlen=50)
        if self.enabled:
            self.tell(self.scores(module))

    def scores(self, module: Any) -> str:
        """A line of scores in per cent, the best checkpoint's first."""
        means, by = scalars(module.scores), self.run.best_by
        names = [by, *(n for n in means if n != by and n.startswith(SHOWN))]
        shown = ", ".join(f"{n.replace('_', ' ')} {100 * means[n]:.1f}" for n in names)
        best = " (the best so far)" if means[by] >= self.run.best else ""
        return f"iteration {self.run.iteration:,}, validation: {shown}{best}"

    def tell(self, line: str) -> None:
        """Say something that stays."""
        say(line)


class Bar(Progress):
    """A bar at the foot of a terminal; scores are lines above it, which stay."""

    bar: tqdm[Any] | None = None
    inner: tqdm[Any] | None = None

    def pause(self, elapsed: float) -> float:
        """A bar moves."""
        return 0.2

    def show(self, trainer: Any) -> None:
        """Move the bar."""
        if self.bar is None:
            return
        self.bar.n = trainer.global_step
        done = trainer.global_step >= trainer.max_steps
        left = "" if done else f", {clock(self.left(trainer))} left"
        self.bar.set_postfix_str(self.numbers(trainer) + left, refresh=False)
        self.bar.refresh()

    def on_train_start(self, trainer: Any, module: Any) -> None:
        """Draw the bar."""
        super().on_train_start(trainer, module)
        if self.enabled:
            shape = "{desc} {percentage:3.0f}%|{bar:20}| {n_fmt}/{total_fmt} [{elapsed}{postfix}]"
            self.bar = _bar(trainer.max_steps, "training", shape, initial=trainer.global_step)

    def on_train_end(self, trainer: Any, module: Any) -> None:
        """Leave the bar as it is, and go on below it."""
        self.close()

    def on_exception(self, trainer: Any, module: Any, exception: BaseException) -> None:
        """The same where the run is stopped."""
        self.close()

    def on_validation_start(self, trainer: Any, module: Any) -> None:
        """A second bar, which goes away."""
        super().on_validation_start(trainer, module)
        if self.enabled:
            shape = "{desc} {percentage:3.0f}%|{bar:20}| {n_fmt}/{total_fmt}"
            total = sum(trainer.num_val_batches)
            self.inner = _bar(total, "validation", shape, leave=False)

    def on_validation_batch_end(self, *_: Any) -> None:
        """An image more."""
        if self.inner is not None:
            self.inner.update()

    def on_validation_end(self, trainer: Any, module: Any) -> None:
        """Scores above the bar."""
        if self.inner is not None:
            self.inner.close()
            self.inner = None
        super().on_validation_end(trainer, module)

    def tell(self, line: str) -> None:
        """Above the bar."""
        tqdm.write(line, file=sys.stderr)

    def close(self) -> None:
        """The bars are over."""
        for each in (self.inner, self.bar):
            if each is not None:
                each.close()
        self.inner = self.bar = None


def _bar(total: int, what: str, shape: str, initial: int = 0, leave: bool = True) -> tqdm[Any]:
    return tqdm(
        total=total,
        initial=initial,
        desc=what,
        bar_format=shape,
        leave=leave,
        dynamic_ncols=True,
        file=sys.stderr,
    )


def clock(seconds: float) -> str:
    """A time as people say it.

    Example:
        >>> clock(42), clock(61), clock(3 * 3600 + 120)
        ('42 s', '1 min 1 s', '3 h 2 min')
    """
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
