"""The recipe of a run: its schema, and what holds between its keys."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from bpkd.components import Component
from bpkd.errors import UserError
from bpkd.messages import finding, shown
from bpkd.recipe_files import RECIPES, change, find, first_line, read
from bpkd.weighted import Decay

Positive = Annotated[int, Field(gt=0)]
Share = Annotated[float, Field(ge=0, le=1)]


class _Section(BaseModel):
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


class Augment(_Section):
    """Training transforms; see :func:`bpkd.datasets.transforms.training_transform`."""

    crop: tuple[Positive, Positive] = (512, 512)
    scale: tuple[float, float] = (0.5, 2.0)
    base_size: tuple[Positive, Positive] | None = None
    cat_max_ratio: Share = 0.75
    flip: Share = 0.5
    photometric: bool = True
    antialias: bool = True


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

    The iterations are those of :class:`bpkd.weighted.Weighted`; ``from`` in a recipe is ``start``
    here, for it is a word of Python's own.
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


class Schedule(_Section):
    """Polynomial decay of the learning rate to a floor, after a linear warm-up."""

    power: float = 0.9
    floor: Annotated[float, Field(ge=0)] = 1e-4
    warmup: Annotated[int, Field(ge=0)] = 0


class Evaluation(_Section):
    """How, and how often, the network is measured; see :func:`bpkd.inference.averaged`."""

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


#: The optimizer where a recipe names none; it may still change its arguments.
SGD = {"use": "torch.optim.SGD", "lr": 0.01, "momentum": 0.9, "weight_decay": 5e-4}


def _without_null(given: Any) -> Any:
    """Leave out what a recipe sets to null: that is how it drops a loss of its base."""
    if not isinstance(given, dict):
        return given
    return {name: value for name, value in given.items() if value is not None}


def _over_sgd(given: Any) -> Any:
    return SGD | given if isinstance(given, dict) and "use" not in given else given


class Recipe(_Section):
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
    losses: Annotated[dict[str, Loss], BeforeValidator(_without_null)] = {}
    auxiliary_weight: Annotated[float, Field(ge=0)] = 0.4
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


def load_recipe(source: str | Path, overrides: list[str] | tuple[str, ...] = ()) -> Recipe:
    """Read a recipe, join it with the recipes it is based on, apply overrides, and check it all.

    A recipe without a ``name`` bears its file's; without a ``run``, its run is ``runs/NAME``, for
    a shipped recipe ``runs/camvid/NAME`` and the like.

    Args:
        source: a YAML file, or the name of a recipe that comes with the package
            (``camvid/bpkd``).
        overrides: ``key=value``, dotted: ``losses.bpkd.weight.edge=5``. The value is YAML and
            takes the place of what the recipe says, keys and values included.

    Raises:
        UserError: one line that names the file, the key, what it got and what it expected.
    """
    path = find(source)
    content = read(path)
    for override in overrides:
        change(content, override)
    try:
        plain = OmegaConf.to_container(content, resolve=True)
    except OmegaConfBaseException as error:
        raise UserError(f"{path}: {first_line(error)}") from error
    assert isinstance(plain, dict)
    plain.setdefault("name", path.stem)
    shipped = path.parent.relative_to(RECIPES) if path.is_relative_to(RECIPES) else Path()
    plain.setdefault("run", str("runs" / shipped / str(plain["name"])))
    try:
        recipe = Recipe.model_validate(plain)
    except ValidationError as error:
        raise UserError(f"{path}: {finding(error, plain, Recipe)}") from None
    recipe.check(str(path))
    return recipe


def dump(recipe: Recipe) -> str:
    """A recipe as YAML that :func:`load_recipe` reads back."""
    return yaml.safe_dump(recipe.model_dump(mode="json", by_alias=True), sort_keys=False)
