"""The recipe of a run: what it holds, and what must agree in it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from bpkd.errors import UserError
from bpkd.recipe.components import Component
from bpkd.recipe.files import SHORT
from bpkd.recipe.ranges import Range
from bpkd.recipe.sections import (
    GIVEN,
    Augment,
    Cache,
    Count,
    Data,
    Evaluation,
    Loss,
    Network,
    NotNegative,
    Number,
    Optimizer,
    Positive,
    Schedule,
    Section,
    TaskLossSection,
    Teacher,
)
from bpkd.recipe.trust import allowed
from bpkd.support.messages import shown

#: What of a recipe is imported to check it.
Imports = Literal["all", "known", "none"]
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


def _as_folder(given: Any) -> Any:
    return {SHORT["teacher_cache"]: given} if isinstance(given, str) else given


class Recipe(Section):
    """Everything that decides a run."""

    name: str
    seed: Annotated[int, Number, Field(ge=0, le=2**32 - 1)] = 0
    draws: Annotated[int, Number, Field(ge=0, le=2**32 - 1)] | None = None
    max_iters: Count = 40_000
    batch_size: Positive = 8
    accumulate: Positive = 1
    workers: Count = 2
    data: Data
    augment: Augment = Augment()
    student: Network
    teacher: str | Teacher | None = None
    teacher_cache: Annotated[Cache | None, BeforeValidator(_as_folder)] = None
    losses: Annotated[dict[str, Loss], BeforeValidator(_without_null)] = Field(default_factory=dict)
    auxiliary_weight: NotNegative = 0.4
    class_weights: ClassWeights | None = None
    task_loss: TaskLossSection = TaskLossSection()
    optimizer: Annotated[Optimizer, BeforeValidator(_over_sgd)] = Optimizer.model_validate(SGD)
    head_lr: Annotated[float, Number, Field(gt=0)] = 1.0
    clip_grad: Annotated[float, Number, Field(gt=0)] | None = None
    schedule: Schedule = Schedule()
    evaluation: Evaluation = Evaluation()
    checkpoint_every: Positive = 1000
    compile: bool = False
    quantize: bool = False
    loggers: list[Literal["csv", "tensorboard", "wandb", "mlflow"]] | None = None
    log_pulls: bool = False
    precision: Annotated[Literal["auto", "32", "bf16"], BeforeValidator(str)] = "auto"
    devices: Positive | Literal["auto"] = "auto"
    nodes: Positive = 1
    sync_batchnorm: bool = True
    #: What `bpkd tune` may change, by dotted key; training takes no notice.
    tune: dict[str, Range] = Field(default_factory=dict)
    run: str

    @property
    def draws_seed(self) -> int:
        """What decides which image comes when, and how it is cut."""
        return self.seed if self.draws is None else self.draws

    def with_less_memory(self) -> str:
        """What to change where memory does not suffice."""
        half = max(1, self.batch_size // 2)
        return (
            f"take a smaller batch_size (it is {self.batch_size}; batch_size={half} "
            f"accumulate={2 * self.accumulate} makes the same images an iteration) or "
            f"{self.with_smaller_images()}"
        )

    def with_smaller_images(self) -> str:
        """Which keys make the images smaller."""
        height, width = self.augment.crop
        return (
            f"a smaller augment.crop (it is [{height},{width}]); in validation "
            "evaluation.mode=slide"
        )

    def check(self, source: str, imports: Imports = "all") -> None:
        """What no single field shows: targets that exist, their arguments, what needs what.

        Args:
            source: what messages begin with.
            imports: which of the things that the recipe names are imported and checked: ``all``,
                those of the ``known`` libraries, or ``none``, for one that is only looked at.

        Raises:
            UserError: one line with the file, the key, and what was expected.
        """
        try:
            for name, loss in self.losses.items():
                _check_name(name)
                loss.check_numbers(f"losses.{name}")
                if self.max_iters:
                    loss.check_iterations(f"losses.{name}", self.max_iters)
            for where, component, given in self._components():
                if imports == "all" or (imports == "known" and allowed(component.use)):
                    component.check(where, given=given)
            if self.student.num_classes and not self.student.class_map:
                raise UserError("student.num_classes is set by bpkd itself; take it out")
            if self.max_iters and self.student.class_map:
                raise UserError(
                    "student.class_map: a network that is trained has the data set's own classes; "
                    "it is for one that is only measured (max_iters: 0), and for teachers"
                )
        except UserError as error:
            raise UserError(f"{source}: {error}") from error
        self._check_quantize(source)
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
        if imports != "all" and not allowed(self.optimizer.use):
            return
        rate = self.optimizer.arguments.get("lr", 1.0)
        if isinstance(rate, bool) or not isinstance(rate, int | float) or not rate > 0:
            raise UserError(f"{source}: optimizer.lr: expected a number above 0, got {shown(rate)}")
        if self.schedule.floor > rate:
            raise UserError(
                f"{source}: schedule.floor {self.schedule.floor:g} is above optimizer.lr {rate:g}"
            )

    def _check_quantize(self, source: str) -> None:
        if self.quantize and not self.max_iters:
            raise UserError(
                f"{source}: quantize: true needs training, which max_iters: 0 leaves out; for int8 "
                "without training: bpkd export RUN --precision int8"
            )
        if self.quantize and self.compile:
            raise UserError(
                f"{source}: quantize and compile cannot be had together: ranges move in training; "
                "take one of them out"
            )

    def _components(self) -> Iterator[tuple[str, Component, list[str]]]:
        """What the recipe names: where, what, and the arguments that bpkd itself gives."""
        yield "data", self.data, ["split"]
        yield "student", self.student, ["num_classes"]
        if isinstance(self.teacher, Teacher):
            yield "teacher", self.teacher, ["num_classes"]
        for name, loss in self.losses.items():
            yield f"losses.{name}", loss, list(GIVEN)
        yield "optimizer", self.optimizer, ["params"]


def _check_name(name: str) -> None:
    """A loss's name becomes an attribute and a column."""
    if not re.fullmatch(r"[^\W\d][\w-]*", name) or hasattr(dict, name) or name in _TAKEN:
        raise UserError(
            f"losses: {shown(name)} cannot be a loss's name; expected a word of letters, digits, "
            "_ and -, e.g. bpkd, that is no method of dictionaries"
        )


#: What torch's own dictionary of modules is called by.
_TAKEN = ("training", "forward", "add_module", "apply", "train", "eval", "parameters", "buffers")
