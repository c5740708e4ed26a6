"""The recipe of a run: what it holds, and what must agree in it."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from bpkd.errors import UserError
from bpkd.recipe.components import Component
from bpkd.recipe.sections import (
    Augment,
    Data,
    Evaluation,
    Loss,
    Network,
    Positive,
    Schedule,
    Section,
    TaskLossSection,
    Teacher,
)
from bpkd.support.messages import shown

#: One number a class, or by their shares of the training split's pixels.
ClassWeights = Literal["balanced"] | list[Annotated[float, Field(ge=0)]]
#: The optimizer where a recipe names none; it may still change its arguments.
SGD = {"use": "torch.optim.SGD", "lr": 0.01, "momentum": 0.9, "weight_decay": 5e-4}


def _without_null(given: Any) -> Any:
    """Leave out what a recipe sets to null: that is how it drops a loss of its base."""
    if not isinstance(given, dict):
        return given
    return {name: value for name, value in given.items() if value is not None}


def _over_sgd(given: Any) -> Any:
    return SGD | given if isinstance(given, dict) and "use" not in given else given


class Recipe(Section):
    """Everything that decides a run."""

    name: str
    seed: Annotated[int, Field(ge=0)] = 0
    max_iters: Annotated[int, Field(ge=0)] = 40_000
    batch_size: Positive = 8
    accumulate: Positive = 1
    workers: Annotated[int, Field(ge=0)] = 2
    data: Data
    augment: Augment = Augment()
    student: Network
    teacher: str | Teacher | None = None
    losses: Annotated[dict[str, Loss], BeforeValidator(_without_null)] = Field(default_factory=dict)
    auxiliary_weight: Annotated[float, Field(ge=0)] = 0.4
    class_weights: ClassWeights | None = None
    task_loss: TaskLossSection = TaskLossSection()
    optimizer: Annotated[Component, BeforeValidator(_over_sgd)] = Component.model_validate(SGD)
    head_lr: Annotated[float, Field(gt=0)] = 1.0
    schedule: Schedule = Schedule()
    evaluation: Evaluation = Evaluation()
    checkpoint_every: Positive = 1000
    precision: Annotated[Literal["auto", "32", "bf16"], BeforeValidator(str)] = "auto"
    devices: Positive | Literal["auto"] = "auto"
    nodes: Positive = 1
    sync_batchnorm: bool = True
    run: str

    def check(self, source: str) -> None:
        """What no single field shows: targets that exist, their arguments, what needs what.

        Raises:
            UserError: one line with the file, the key, and what was expected.
        """
        try:
            self.data.check("data", given=["split"])
            self.student.check("student", given=["num_classes"])
            if isinstance(self.teacher, Teacher):
                self.teacher.check("teacher", given=["num_classes"])
            for name, loss in self.losses.items():
                loss.check(
                    f"losses.{name}", given=["num_classes", "student_channels", "teacher_channels"]
                )
                if self.max_iters:
                    loss.check_iterations(f"losses.{name}", self.max_iters)
            self.optimizer.check("optimizer", given=["params"])
        except UserError as error:
            raise UserError(f"{source}: {error}") from error
        if self.losses and self.teacher is None:
            raise UserError(
                f"{source}: losses need a teacher, and there is none; add teacher: RUN_FOLDER, "
                "or take the losses out"
            )
        if self.teacher is not None and not self.losses and self.max_iters:
            raise UserError(
                f"{source}: there is a teacher and no losses, so nothing is learnt from it; add "
                "losses, e.g. losses: {bpkd: {use: bpkd.losses.bpkd.BPKD}}, or take it out"
            )
        rate = self.optimizer.arguments.get("lr", 1.0)
        if isinstance(rate, bool) or not isinstance(rate, int | float) or not rate > 0:
            raise UserError(f"{source}: optimizer.lr: expected a number above 0, got {shown(rate)}")
        if self.schedule.floor > rate:
            raise UserError(
                f"{source}: schedule.floor {self.schedule.floor:g} is above optimizer.lr {rate:g}"
            )
