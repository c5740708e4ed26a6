"""One training step: the student's own loss, and what it is to learn from the teacher."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import lightning
import torch
from torch import Tensor, nn

from bpkd.errors import UserError
from bpkd.metrics.measures import scalars
from bpkd.support.finite import check_gradients, check_network, not_finite
from bpkd.support.tensors import tensors_in
from bpkd.tasks import Task
from bpkd.training.pulls import pulls
from bpkd.training.schedules import Weighted
from bpkd.training.teacher_cache.cache import TeacherCache
from bpkd.training.unlabelled import own_labels, taught_labels


class Distiller(lightning.LightningModule):
    """Trains a student, with or without a teacher.

    Args:
        student: images -> the task's output.
        teacher: the same, or None; it is never trained, never saved, never synchronised.
        losses: distillation losses by name. Where there are several processes, a loss keeps the
            buffers that it registers itself equal on all of them.
        weighted: their weights, by the same names.
        configure: the student's and the losses' parameters -> optimizer and scheduler.
        task: what the targets are, the student's own loss, predictions and their measures.
        seed: every iteration's dropout follows from it and the iteration alone.
    """

    teacher: nn.Module | None
    #: What the teacher said of the run's draws; None: it is asked each time.
    cache: TeacherCache | None = None
    #: Whether training.csv gets how hard each term pulls beside the student's own loss.
    log_pulls = False
    #: Whether there are images that nobody labelled.
    unlabelled = False

    def __init__(
        self,
        student: nn.Module,
        teacher: nn.Module | None,
        losses: dict[str, nn.Module],
        weighted: dict[str, Weighted],
        configure: Callable[[nn.Module, nn.Module], dict[str, Any]],
        task: Task,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.student = student
        self.losses = nn.ModuleDict(losses)
        self.task = task
        self.measures = task.measures  # here too: what a module holds moves with it
        self.weighted = weighted
        self.configure = configure
        self.seed = seed
        self.awake = False  # whether the teacher is on the student's device
        # Past nn.Module's own bookkeeping: what is no submodule is not trained, not saved in
        # checkpoints, not broadcast between processes and not put into training mode.
        self.__dict__["teacher"] = teacher
        # DDP sends the first process's buffers to all others before each step. That is right for
        # statistics of batch normalisation, which go apart where they are not synchronised: the
        # student that is measured is then the one that is saved. Losses keep their own buffers
        # in step, and a memory of 0.4 GB must not travel in each iteration.
        self._ddp_params_and_buffers_to_ignore = [
            f"losses.{name}.{buffer}"
            for name, loss in losses.items()
            for buffer, _ in loss.named_buffers(recurse=False)
        ]

    def configure_optimizers(self) -> Any:
        """Lightning's hook."""
        return self.configure(self.student, self.losses)

    def on_fit_start(self) -> None:
        """Bring the teacher to the student's device; both begin with finite weights.

        With a cache it comes once it is asked.
        """
        check_network(self.student, "student")
        if self.teacher is not None:
            check_network(self.teacher, "teacher")
        learns = any(getattr(loss, "prepare_iters", 0) for loss in self.losses.values())
        if self.cache is None or learns:
            self.wake_teacher()

    def wake_teacher(self) -> None:
        """Bring the teacher to the student's device, if it is not there."""
        if self.teacher is None or self.awake:
            return
        self.awake = True
        self.teacher.to(self.device).to(memory_format=torch.channels_last)
        self.teacher.eval().requires_grad_(False)
        # A teacher's auxiliary head rests, unless a loss compares auxiliary logits.
        if any(getattr(loss, "needs_auxiliary", False) for loss in self.losses.values()):
            self.teacher.auxiliary_in_eval = True  # type: ignore[assignment]

    def ask_teacher(self, images: Tensor) -> Any:
        """What the teacher says of images (N, 3, H, W)."""
        assert self.teacher is not None
        self.wake_teacher()
        with torch.no_grad():
            return self.task.output(self.teacher(images), "teacher")

    def on_before_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        """Lightning's hook: the images are not on their device yet."""
        if self.cache is not None and self.trainer.training:
            self.cache.look(batch[0])
        return batch

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        """Make this batch's dropout a function of seed, iteration, part and process alone."""
        parts = self.trainer.accumulate_grad_batches
        self.part = batch_idx % parts  # of an iteration that accumulates
        number = self.global_step * parts + self.part
        torch.manual_seed(((self.seed * 1_000_003 + number) * 1009 + self.global_rank) % 2**64)
        # As bpkd.datasets.draws.Batches counts.
        self.batch = number * self.trainer.world_size + self.global_rank

    def training_step(self, batch: tuple[Tensor, Any], batch_idx: int) -> Tensor:
        """Images (N, 3, H, W) in [0, 1] and their targets -> the loss."""
        images, target = batch[0].contiguous(memory_format=torch.channels_last), batch[1]
        target = self.task.target(target, self.device)
        student = self.task.output(self.student(images), "student")
        own = own_labels(target, self.task.ignore_index) if self.unlabelled else target  # type: ignore[attr-defined]
        total, terms = self.task.own_loss(student, own)
        own_loss, weighted = total, dict[str, Tensor]()
        losses, teacher = self.active_losses(), None
        if self.teacher is not None and losses:
            if self.cache is None:
                teacher = self.ask_teacher(images)
            else:
                teacher = self.cache(self.ask_teacher, images, self.batch * len(images))
            target = taught_labels(target, teacher) if self.unlabelled else target
            # Temperatures and similarities need full precision; the networks do not.
            with torch.autocast(self.device.type, enabled=False):
                for name, loss in losses.items():
                    for term, value in loss(student, teacher, target).items():
                        key, weight = (
                            f"{name}.{term}",
                            self.weighted[name].at(term, self.global_step),
                        )
                        terms[key], weighted[key] = value, weight * value
                        total = total + weighted[key]
            self.step = (_detached(student), _detached(teacher), target)
        if not total.isfinite():
            self.refuse(terms, images, teacher)
        self.log_dict({"loss": total.detach()}, prog_bar=True)
        self.shown = {f"loss/{name}": value.detach() for name, value in terms.items()}
        if self.log_pulls and self._is_logged():
            found = pulls(own_loss, weighted, student)
            self.shown |= {f"pull/{name}": value for name, value in found.items()}
        self.log_dict(self.shown)
        return total

    def _is_logged(self) -> bool:
        """Whether this iteration becomes a row of ``training.csv``."""
        every: int = self.trainer.log_every_n_steps  # type: ignore[attr-defined]
        return self.global_step == 0 or (self.global_step + 1) % every == 0

    def on_before_optimizer_step(self, optimizer: Any) -> None:
        """A step by gradients that are not finite is not made."""
        check_gradients(self, self.global_step)

    def on_after_backward(self) -> None:
        """A loss may train something of its own, such as a discriminator, on the same outputs.

        Its step, like the student's, comes once an iteration, of the parts' mean gradient.
        """
        parts = self.trainer.accumulate_grad_batches
        mean = {"share": 1 / parts, "last": self.part == parts - 1}
        for name, loss in self.active_losses().items():
            if hasattr(loss, "own_step"):
                with torch.autocast(self.device.type, enabled=False):
                    terms = loss.own_step(*self.step, **mean)  # type: ignore[operator]
                own = {f"loss/{name}.{term}": value for term, value in terms.items()}
                self.shown |= own
                self.log_dict(own)

    def on_train_end(self) -> None:
        """Lightning's hook."""
        if self.cache is not None:
            self.cache.tell()

    def active_losses(self) -> dict[str, nn.Module]:
        """The losses that count in this iteration; the others rest, and their memories with them.

        Where all of them rest, so does the teacher.
        """
        now = self.global_step
        return {name: loss for name, loss in self.losses.items() if self.weighted[name].active(now)}

    def refuse(self, terms: dict[str, Tensor], images: Tensor, teacher: Any) -> None:
        """Stop at a loss that is not finite, before it reaches the weights; name what it is from.

        Raises:
            UserError: always.
        """
        broken = [name for name, value in terms.items() if not value.isfinite()] or ["the sum"]
        advice = "lower the learning rate or that term's weight"
        if not_finite([("images", images)]):
            advice = "the images hold NaN or Inf: mend the data set"
        elif not_finite((str(id(t)), t) for t in tensors_in(teacher)):
            advice = "what the teacher gives holds NaN or Inf: take another, or precision=32"
        raise UserError(
            f"iteration {self.global_step}: the loss is not finite in {', '.join(broken)}; "
            f"{advice}, and start again in another run=FOLDER, or with --overwrite; the last good "
            "checkpoint is kept"
        )

    def validation_step(self, batch: tuple[Tensor, Any], batch_idx: int) -> None:
        """Images (N, 3, H, W) in [0, 1] and their targets: count them."""
        images, target = batch
        found = self.task.predict(self.student, images, target)
        self.measures.update(found, target)  # type: ignore[operator]

    def on_validation_epoch_end(self) -> None:
        """Compute, log, and forget."""
        self.scores = self.measures.compute()  # type: ignore[operator]
        self.measures.reset()  # type: ignore[operator]
        self.log_dict({f"val/{name}": value for name, value in scalars(self.scores).items()})


def _detached(output: Any) -> Any:
    """The same tensors without their gradients, in whatever holds them."""
    if isinstance(output, Tensor):
        return output.detach()
    if isinstance(output, dict):
        return {name: _detached(value) for name, value in output.items()}
    if isinstance(output, list):
        return [_detached(value) for value in output]
    return output if output is None else type(output)(*map(_detached, output))
