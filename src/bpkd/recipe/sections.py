"""The sections of a recipe: data, networks, losses, schedule, evaluation."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from bpkd.errors import UserError
from bpkd.recipe.components import Component

Decay = Literal["cosine", "linear"]
Positive = Annotated[int, Field(gt=0)]
Share = Annotated[float, Field(ge=0, le=1)]


class Section(BaseModel):
    """Keys that are all known."""

    # YAML reads a name such as 2024 as a number.
    model_config = ConfigDict(extra="forbid", coerce_numbers_to_str=True, allow_inf_nan=False)


class Data(Component):
    """The data set, called with ``split`` and its own arguments; and which splits serve what."""

    train: str = "train"
    val: str | None = "val"
    test: str | None = "test"

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
    scale: tuple[float, float] = (0.5, 2.0)
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
    """A network, called with ``num_classes`` and its own arguments."""

    checkpoint: str | None = None


class Teacher(Network):
    """A network with classes of its own.

    ``class_map`` gives, for each of the data set's classes, the teacher's class or the list of
    those that it joins, by index or name: see :mod:`bpkd.networks.class_map`. ``num_classes`` is
    how many the teacher itself has, where its file or folder does not say.
    """

    num_classes: Positive | None = None
    class_map: list[Any] | dict[str, Any] | None = None

    def knows_its_classes(self) -> bool:
        """Whether the target finds out by itself how many classes it has."""
        return self.argument("num_classes", 0) is None


class Loss(Component):
    """A distillation loss, the weights of its terms, and when it counts how much.

    The iterations are those of :class:`bpkd.training.schedules.Weighted`; ``from`` in a recipe is
    ``start`` here, for it is a word of Python's own.
    """

    weight: float | dict[str, float] | None = None
    ramp: Annotated[int, Field(ge=0)] = 0
    start: Annotated[int, Field(ge=0, alias="from")] = 0
    until: Positive | None = None
    decay: Decay | None = None

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


class Schedule(Section):
    """Polynomial decay of the learning rate to a floor, after a linear warm-up."""

    power: float = 0.9
    floor: Annotated[float, Field(ge=0)] = 1e-4
    warmup: Annotated[int, Field(ge=0)] = 0


class Evaluation(Section):
    """How, and how often, the network is measured; see :func:`bpkd.inference.windows.averaged`."""

    every: Positive | None = None
    mode: Literal["whole", "slide"] = "whole"
    window: tuple[Positive, Positive] = (512, 512)
    stride: tuple[Positive, Positive] = (342, 342)
    base_size: tuple[Positive, Positive] | None = None
    scales: Annotated[list[Annotated[float, Field(gt=0)]], Field(min_length=1)] = [1.0]
    flip: bool = False
    batch_size: Positive = 1
    trimap_widths: list[Positive] = [1, 3, 5]
    dilation_ratio: Annotated[float, Field(gt=0, lt=1)] = 0.02

    @model_validator(mode="after")
    def _no_gaps(self) -> Self:
        if any(step > side for step, side in zip(self.stride, self.window, strict=True)):
            raise ValueError(
                f"expected a stride of at most the window, {list(self.window)}, so that windows "
                f"leave no gap; the stride is {list(self.stride)}"
            )
        return self
