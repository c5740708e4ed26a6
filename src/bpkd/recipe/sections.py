"""The sections of a recipe: data, networks, losses, schedule, evaluation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    field_validator,
    model_validator,
)

from bpkd.errors import UserError
from bpkd.recipe.components import Component
from bpkd.recipe.kinds import require_data, require_module, require_optimizer

Decay = Literal["cosine", "linear"]


def _no_switch(given: Any) -> Any:
    """YAML's ``true`` is no number, and Python takes it for 1."""
    if isinstance(given, bool):
        raise ValueError(f"expected a number; it is {str(given).lower()}")
    return given


Number = BeforeValidator(_no_switch)
#: As large as any count that a machine can go through.
LARGEST = 2**31 - 1
Positive = Annotated[int, Number, Field(gt=0, le=LARGEST)]
Count = Annotated[int, Number, Field(ge=0, le=LARGEST)]
Share = Annotated[float, Number, Field(ge=0, le=1)]
NotNegative = Annotated[float, Number, Field(ge=0)]


class Section(BaseModel):
    """Keys that are all known."""

    # YAML reads a name such as 2024 as a number.
    model_config = ConfigDict(extra="forbid", coerce_numbers_to_str=True, allow_inf_nan=False)


class UnlabelledSection(Section):
    """Images without labels; see :class:`bpkd.datasets.unlabelled.Unlabelled` and ``Mixed``."""

    images: str | Annotated[list[str], Field(min_length=1)]
    share: Annotated[float, Number, Field(gt=0, le=1)] = 0.5


def _as_images(given: Any) -> Any:
    return {"images": given} if isinstance(given, str | list) else given


class Data(Component):
    """The data set, called with ``split`` and its own arguments; and which splits serve what."""

    train: str = "train"
    val: str | None = "val"
    test: str | None = "test"
    unlabelled: Annotated[UnlabelledSection | None, BeforeValidator(_as_images)] = None

    def check_kind(self, target: Callable[..., Any]) -> None:
        """A data set: see :func:`bpkd.recipe.kinds.require_data`."""
        require_data(self.use, target)

    def own_name(self, split: str) -> str:
        """The data set's own name of ``train``, ``val`` or ``test``; any other name is its own.

        Raises:
            UserError: the recipe says that there is none.
        """
        name: str | None = getattr(self, split) if split in ("train", "val", "test") else split
        if name is None:
            raise UserError(f"there is no {split} split: data.{split} is null")
        return name


class Augment(Section):
    """Training transforms; see :func:`bpkd.datasets.transforms.training_transform`."""

    crop: tuple[Positive, Positive] = (512, 512)
    scale: tuple[Annotated[float, Number], Annotated[float, Number]] = (0.5, 2.0)
    base_size: tuple[Positive, Positive] | None = None
    cat_max_ratio: Share = 0.75
    flip: Share = 0.5
    photometric: bool = True
    antialias: bool = True

    @field_validator("scale")
    @classmethod
    def _ordered(cls, scale: tuple[float, float]) -> tuple[float, float]:
        if not 0 < scale[0] <= scale[1]:
            raise ValueError(f"expected [least, greatest], both above 0; it is {list(scale)}")
        return scale


class Network(Component):
    """A network, called with ``num_classes`` and its own arguments.

    ``checkpoint_key`` says which of several state dicts a checkpoint's file is to give. A network
    with classes of its own has ``class_map``: for each of the data set's classes, the network's
    class or the list of those that it joins, by index or name, or ``by_index``, see
    :mod:`bpkd.networks.class_map`; ``num_classes`` is how many the network itself has, where its
    file or folder does not say.
    """

    checkpoint: str | None = None
    checkpoint_key: str | None = None
    num_classes: Positive | None = None
    class_map: list[Any] | dict[str, Any] | Literal["by_index"] | None = None

    def check_kind(self, target: Callable[..., Any]) -> None:
        """A network: see :func:`bpkd.recipe.kinds.require_kind`."""
        require_module(self.use, target)

    def knows_its_classes(self) -> bool:
        """Whether the target finds out by itself how many classes it has."""
        return self.argument("num_classes", 0) is None


class Teacher(Network):
    """A network that is not trained."""


#: Arguments of losses that no recipe gives: they follow from the networks and the data.
GIVEN = ("num_classes", "student_channels", "teacher_channels", "student_head", "teacher_head")


class Loss(Component):
    """A distillation loss, the weights of its terms, and when it counts how much.

    The iterations are those of :class:`bpkd.training.schedules.Weighted`; ``from`` in a recipe is
    ``start`` here, for it is a word of Python's own.
    """

    weight: Annotated[float, Number] | dict[str, Annotated[float, Number]] | None = None
    ramp: Count = 0
    start: Annotated[int, Number, Field(ge=0, le=LARGEST, alias="from")] = 0
    until: Positive | None = None
    decay: Decay | None = None

    def check_kind(self, target: Callable[..., Any]) -> None:
        """A loss is a module, too."""
        require_module(self.use, target)

    def check_numbers(self, where: str) -> None:
        """Refuse a temperature or a memory that is none.

        Raises:
            UserError: names the key.
        """
        for name, value in self.arguments.items():
            is_number = isinstance(value, int | float) and not isinstance(value, bool)
            words = name.split("_")
            if is_number and value <= 0 and (words[-1] in ("temperature", "slots", "tau")):
                raise UserError(f"{where}.{name}: expected a number above 0, got {value}")

    def check_iterations(self, where: str, max_iters: int) -> None:
        """Refuse a loss that would never count, or never reach its weight.

        Raises:
            UserError: names the key.
        """
        end, last = max_iters, "max_iters"
        if self.until is not None and self.until <= max_iters:
            end, last = self.until, f"{where}.until"
        if self.start >= end:
            raise UserError(
                f"{where}.from: expected an iteration before {last}, which is {end}, "
                f"got {self.start}"
            )
        if self.start + self.ramp > end:
            raise UserError(
                f"{where}.ramp: expected at most {end - self.start} iterations, from {self.start} "
                f"to {last}, which is {end}; got {self.ramp}"
            )


class Ohem(Section):
    """Which pixels are hard enough; see :func:`bpkd.losses.task.hard_pixels`."""

    threshold: Share = 0.7
    min_kept: Annotated[int, Field(ge=0)] = 100_000


class TaskLossSection(Section):
    """What changes the student's own cross-entropy; see :class:`bpkd.losses.task.TaskLoss`."""

    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.0
    ohem: Ohem | None = None
    dice: Annotated[float, Field(ge=0)] = 0.0
    lovasz: Annotated[float, Field(ge=0)] = 0.0


class Cache(Section):
    """Where the teacher's outputs are kept, and how; see :mod:`bpkd.training.teacher_cache`.

    ``limit`` is in GB, of 10^9 bytes.
    """

    folder: Annotated[str, Field(min_length=1)]
    dtype: Literal["float16", "bfloat16", "float32"] = "float16"
    top_k: Positive | None = None
    limit: Annotated[float, Field(gt=0)] | None = None


class Schedule(Section):
    """The learning rate after a linear warm-up: polynomial decay to a floor, or steps.

    With ``milestones``, iterations at which the rate is multiplied by ``gamma``, there is no other
    decay. The warm-up begins at ``warmup_factor`` times the rate; null: at 1 / (warmup + 1).
    """

    power: NotNegative = 0.9
    floor: NotNegative = 1e-4
    warmup: Count = 0
    warmup_factor: Share | None = None
    milestones: list[Positive] = []
    gamma: Annotated[float, Number, Field(gt=0, lt=1)] = 0.1


class Evaluation(Section):
    """How, and how often, the network is measured; see :func:`bpkd.inference.windows.averaged`."""

    every: Positive | None = None
    mode: Literal["whole", "slide"] = "whole"
    window: tuple[Positive, Positive] = (512, 512)
    stride: tuple[Positive, Positive] = (342, 342)
    base_size: tuple[Positive, Positive] | None = None
    scales: Annotated[list[Annotated[float, Number, Field(gt=0)]], Field(min_length=1)] = [1.0]
    flip: bool = False
    batch_size: Positive = 1
    trimap_widths: list[Positive] = [1, 3, 5]
    dilation_ratio: Annotated[float, Number, Field(gt=0, lt=1)] = 0.02

    @model_validator(mode="after")
    def _no_gaps(self) -> Self:
        if any(step > side for step, side in zip(self.stride, self.window, strict=True)):
            raise ValueError(
                f"expected a stride of at most the window, {list(self.window)}, so that windows "
                f"leave no gap; the stride is {list(self.stride)}"
            )
        return self


class Optimizer(Component):
    """An optimizer, called with groups of parameters."""

    def check_kind(self, target: Callable[..., Any]) -> None:
        """One of torch's, or of its kind."""
        require_optimizer(self.use, target)
