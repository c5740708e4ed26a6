"""The recipe of a run on instances: what differs in it from one on label maps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from bpkd.errors import UserError
from bpkd.recipe.dotted import resolve
from bpkd.recipe.schema import Imports, Recipe
from bpkd.recipe.sections import Augment, Positive, Section, Share
from bpkd.recipe.trust import allowed
from bpkd.support.source import class_attribute

#: (long, short) of the sides that an image is fitted into, its ratio kept.
Sides = tuple[Positive, Positive]


class InstanceAugment(Section):
    """Training transforms; see :func:`bpkd.datasets.instance_transforms.instance_transform`."""

    sizes: Annotated[list[Sides], Field(min_length=1)] | None = None
    scale: tuple[float, float] = (1.0, 1.0)
    crop: tuple[Positive, Positive] | None = None
    flip: Share = 0.5
    photometric: bool = False
    antialias: bool = True
    least: Annotated[float, Field(ge=0)] = 1.0

    @field_validator("scale")
    @classmethod
    def _ordered(cls, scale: tuple[float, float]) -> tuple[float, float]:
        return Augment._ordered(scale)


class InstanceEvaluation(Section):
    """How, and how often, the network is measured.

    ``size`` is the (long, short) that images are fitted into, as in ``augment.sizes``; null: their
    own size. ``antialias`` says whether one that shrinks is smoothed first, as in training. The
    others are those of :class:`~bpkd.networks.solov2.predictions.PostProcessing` and
    :class:`~bpkd.metrics.instances.InstanceMeasures`.
    """

    every: Positive | None = None
    batch_size: Positive = 1
    size: Sides | None = None
    antialias: bool = True
    score_threshold: Share = 0.1
    mask_threshold: Share = 0.5
    filter_threshold: Share = 0.05
    nms_pre: Positive = 500
    max_per_image: Positive = 100
    kernel: Literal["gaussian", "linear"] = "gaussian"
    sigma: Annotated[float, Field(gt=0)] = 2.0
    size_limits: tuple[Positive, Positive] = (32, 96)
    boundary: bool = True
    dilation_ratio: Annotated[float, Field(gt=0, lt=1)] = 0.02

    @model_validator(mode="after")
    def _ascending(self) -> Self:
        if self.size_limits[0] >= self.size_limits[1]:
            raise ValueError(
                "size_limits: expected the sides at which medium and large begin, ascending; "
                f"they are {list(self.size_limits)}"
            )
        return self


class InstanceRecipe(Recipe):
    """A recipe whose data set holds instances."""

    augment: InstanceAugment = InstanceAugment()  # type: ignore[assignment]
    evaluation: InstanceEvaluation = InstanceEvaluation()  # type: ignore[assignment]

    def with_smaller_images(self) -> str:
        """Which keys make the images smaller."""
        return "smaller augment.sizes; in validation a smaller evaluation.size"


def task_of(use: Any, imports: Imports = "all") -> str:
    """The task of the data set at a dotted path; ``semantic`` where nothing says another.

    Args:
        use: the path.
        imports: whose modules may be imported to ask: with ``none``, the package's own files are
            read instead.

    Example:
        >>> task_of("bpkd.datasets.instance_scenes.InstanceScenes"), task_of("nowhere.Nothing")
        ('instance', 'semantic')
    """
    if not isinstance(use, str):
        return "semantic"
    if imports == "none":
        return str(class_attribute(use, "task") or "semantic")
    if imports == "known" and not allowed(use):
        return "semantic"
    try:
        return str(getattr(resolve(use), "task", "semantic"))
    except UserError:  # said where the data set is checked
        return "semantic"


def schema_of(content: Mapping[str, Any], imports: Imports = "all") -> type[Recipe]:
    """The recipe that a file's content has to be, by its data set."""
    data = content.get("data")
    data = data if isinstance(data, Mapping) else {}
    # A data set that serves both is told by an argument which.
    task = data.get("task") or task_of(data.get("use"), imports)
    return InstanceRecipe if task == "instance" else Recipe
