"""One training step: the student's own loss, and what it is to learn from the teacher."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import lightning
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bpkd.errors import UserError
from bpkd.inference import Inference, predict, whole
from bpkd.metrics.measures import Measures, scalars
from bpkd.networks.base import SegOutput, resize


@dataclass(frozen=True)
class Weighted:
    """How much a loss counts: a weight for each of its terms, reached by a linear ramp."""

    weights: Mapping[str, float]
    ramp: int = 0

    def at(self, term: str, iteration: int) -> float:
        """The weight of a term at an iteration.

        Example:
            >>> Weighted({"edge": 10.0}, ramp=4).at("edge", 0)
            2.5
        """
        return self.weights[term] * min(1.0, (iteration + 1) / max(self.ramp, 1))


class Distiller(lightning.LightningModule):
    """Trains a student, with or without a teacher.

    Args:
        student: images -> SegOutput.
        teacher: the same, or None; it is never trained, never saved, never synchronised.
        losses: distillation losses by name.
        weighted: their weights, by the same names.
        configure: the student's and the losses' parameters -> optimizer and scheduler.
        measures: what validation computes.
        inference: how validation gets logits at the image's size.
        auxiliary_weight: of the auxiliary head's own loss.
        ignore_index: label of pixels without a class.
        seed: every iteration's dropout follows from it and the iteration alone.
    """

    teacher: nn.Module | None

    def __init__(
        self,
        student: nn.Module,
        teacher: nn.Module | None,
        losses: dict[str, nn.Module],
        weighted: dict[str, Weighted],
        configure: Callable[[nn.Module, nn.Module], dict[str, Any]],
        measures: Measures,
        inference: Inference = whole,
        auxiliary_weight: float = 0.4,
        ignore_index: int = 255,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.student = student
        self.losses = nn.ModuleDict(losses)
        self.measures = measures
        self.weighted = weighted
        self.configure = configure
        self.inference = inference
        self.auxiliary_weight = auxiliary_weight
        self.ignore_index = ignore_index
        self.seed = seed
        # Past nn.Module's own bookkeeping: what is no submodule is not trained, not saved in
        # checkpoints, not broadcast between processes and not put into training mode.
        self.__dict__["teacher"] = teacher

    def configure_optimizers(self) -> Any:
        """Lightning's hook."""
        return self.configure(self.student, self.losses)

    def on_fit_start(self) -> None:
        """Bring the teacher to the student's device."""
        if self.teacher is not None:
            self.teacher.to(self.device).to(memory_format=torch.channels_last)
            self.teacher.eval().requires_grad_(False)
            # A teacher's auxiliary head rests, unless a loss compares auxiliary logits.
            if any(getattr(loss, "needs_auxiliary", False) for loss in self.losses.values()):
                self.teacher.auxiliary_in_eval = True  # type: ignore[assignment]

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        """Make this iteration's dropout a function of seed, iteration and process alone."""
        torch.manual_seed((self.seed * 1_000_003 + self.global_step) * 1009 + self.global_rank)

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        """Images (N, 3, H, W) in [0, 1] and labels (N, H, W) -> the loss."""
        images, labels = batch[0].contiguous(memory_format=torch.channels_last), batch[1].long()
        student = self.student(images)
        terms = {"segmentation": self.cross_entropy(student.logits, labels)}
        total = terms["segmentation"]
        if student.auxiliary is not None:
            terms["auxiliary"] = self.cross_entropy(student.auxiliary, labels)
            total = total + self.auxiliary_weight * terms["auxiliary"]
        if self.teacher is not None and self.losses:
            with torch.no_grad():
                teacher = self.teacher(images)
            # Temperatures and similarities need full precision; the networks do not.
            with torch.autocast(self.device.type, enabled=False):
                for name, loss in self.losses.items():
                    for term, value in loss(student, teacher, labels).items():
                        terms[f"{name}.{term}"] = value
                        total = total + self.weighted[name].at(term, self.global_step) * value
            self.step = (_detached(student), _detached(teacher), labels)
        if not total.isfinite():
            self.refuse(terms)
        self.log_dict({"loss": total.detach()}, prog_bar=True)
        self.log_dict({f"loss/{name}": value.detach() for name, value in terms.items()})
        return total

    def on_after_backward(self) -> None:
        """A loss may train something of its own, such as a discriminator, on the same outputs."""
        for name, loss in self.losses.items():
            if hasattr(loss, "own_step"):
                with torch.autocast(self.device.type, enabled=False):
                    terms = loss.own_step(*self.step)  # type: ignore[operator]
                self.log_dict({f"loss/{name}.{term}": value for term, value in terms.items()})

    def cross_entropy(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Mean over labelled pixels, at the labels' size; 0 where there is none."""
        logits = resize(logits.float(), labels.shape[-2:])
        total = F.cross_entropy(logits, labels, ignore_index=self.ignore_index, reduction="sum")
        return total / (labels != self.ignore_index).sum().clamp(min=1)

    def refuse(self, terms: dict[str, Tensor]) -> None:
        """Stop at a loss that is not finite, before it reaches the weights."""
        broken = [name for name, value in terms.items() if not value.isfinite()] or ["the sum"]
        raise UserError(
            f"iteration {self.global_step}: the loss is not finite in {', '.join(broken)}; "
            "lower the learning rate or that term's weight, then --resume from the last "
            "checkpoint, which is kept"
        )

    def validation_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        """Images (N, 3, H, W) in [0, 1] and labels (N, H, W): count them."""
        images, labels = batch
        self.measures.update(predict(self.student, images, self.inference), labels)

    def on_validation_epoch_end(self) -> None:
        """Compute, log, and forget."""
        self.scores = self.measures.compute()
        self.measures.reset()
        self.log_dict({f"val/{name}": value for name, value in scalars(self.scores).items()})


def _detached(output: SegOutput) -> SegOutput:
    features = {name: maps.detach() for name, maps in output.features.items()}
    auxiliary = output.auxiliary.detach() if output.auxiliary is not None else None
    return SegOutput(output.logits.detach(), features, auxiliary)
