"""The recipe of a run: what it holds, what must agree in it, and how it is read."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from pydantic import BeforeValidator, Field, ValidationError

from bpkd.components import Component
from bpkd.errors import UserError
from bpkd.messages import finding, shown
from bpkd.recipe_files import RECIPES, change, find, first_line, read
from bpkd.sections import (
    Augment,
    Data,
    Evaluation,
    Loss,
    Network,
    Positive,
    Schedule,
    Section,
    Teacher,
)

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
    # Not yaml's own: to OmegaConf "1e3" is a number, so text that looks like one needs its quotes.
    return OmegaConf.to_yaml(OmegaConf.create(recipe.model_dump(by_alias=True)))
