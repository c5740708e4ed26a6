"""The data that a recipe names, or a plain folder: its splits, ready to be looked at."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from pydantic import BaseModel, ConfigDict, ValidationError
from torch import Tensor

from bpkd.datasets.checking.instance_layouts import INSTANCES, instance_layout
from bpkd.datasets.instance_transforms import instance_transform
from bpkd.datasets.transforms import training_transform
from bpkd.errors import UserError
from bpkd.recipe.dotted import resolve
from bpkd.recipe.files import change, find, first_line, read
from bpkd.recipe.findings import finding
from bpkd.recipe.instance import InstanceAugment, InstanceRecipe, schema_of
from bpkd.recipe.sections import Augment, Data

FOLDER = "bpkd.datasets.folder.Folder"
HUB = "bpkd.datasets.hub.Hub"


class _Sections(BaseModel):
    """The keys of a recipe that say what the data are and how training sees them."""

    model_config = ConfigDict(extra="forbid")

    data: Data
    augment: Augment = Augment()


class _InstanceSections(BaseModel):
    """The same of a recipe on instances."""

    model_config = ConfigDict(extra="forbid")

    data: Data
    augment: InstanceAugment = InstanceAugment()


@dataclass
class Opened:
    """The data of a recipe or a folder.

    Attributes:
        data: the data set, to be built with a split.
        augment: what training does to an image.
        splits: own names of the splits, that of training first.
    """

    data: Data
    augment: Augment | InstanceAugment
    splits: list[str]

    def build(self, split: str) -> Any:
        """The data set of a split by its own name.

        Raises:
            UserError: it has no such split, or something is wrong with its folders.
        """
        return self.data.built("data", split=split)

    def transform(self, data: Any) -> Callable[[Tensor, Any], tuple[Tensor, Any]]:
        """What training does to an image of a data set and its target.

        Raises:
            UserError: ``augment`` makes no sense.
        """
        arguments = self.augment.model_dump()
        if isinstance(self.augment, InstanceAugment):
            return instance_transform(**arguments)
        return training_transform(ignore_index=data.ignore_index, **arguments)


def opened(source: str, overrides: Sequence[str] = ()) -> Opened:
    """The data of a recipe, of a folder or file, or of the Hugging Face hub.

    Args:
        source: a recipe's file or name, which need hold no more than ``data``; or a folder of
            ``images/SPLIT`` and ``labels/SPLIT``, see :class:`~bpkd.datasets.folder.Folder`, or of
            instances, see :func:`~bpkd.datasets.checking.instance_layouts.instance_layout`; or what
            :class:`~bpkd.datasets.hub.Hub` reads: a Parquet file, a folder that
            ``save_to_disk`` wrote, or, with ``data.use`` naming that class, "owner/name".
        overrides: ``key=value`` as in a recipe, such as ``data.classes=[road,car]``; with
            ``data.use=...`` a folder may be in the layout of another data set.

    Raises:
        UserError: no such recipe or folder, or a key that does not fit.

    >>> opened("demo/plain").splits
    ['train', 'val', 'test']
    """
    recipe = _recipe(source, overrides)
    content = _described(source, overrides) if recipe is None else read(recipe)
    for override in overrides:
        change(content, override)
    sections = _sections(content, recipe, source)
    data = sections.data
    told = {"images", "labels", "instances", "shares"} & data.arguments.keys()
    if data.use in (FOLDER, INSTANCES) and recipe is None and not told:
        return Opened(data, sections.augment, _splits_of(Path(source).expanduser(), data))
    return Opened(data, sections.augment, _own_names(data))


def _recipe(source: str, overrides: Sequence[str]) -> Path | None:
    """The file of the recipe; None where the source is the data themselves."""
    place = Path(source).expanduser()
    if place.suffix == ".parquet" or (place.is_dir() and not (place / "recipe.yaml").is_file()):
        return None
    try:
        return find(source)
    except UserError as error:
        if place.is_dir():
            raise  # a run's folder: the message names its recipe
        if any(override.startswith("data.use=") for override in overrides):
            return None
        if re.fullmatch(r"[\w.-]+/[\w.-]+", source) and "did you mean" not in str(error):
            error = UserError(f"{error}; for a data set of the Hugging Face hub add data.use={HUB}")
        raise UserError(f"{source} is no folder; {error}") from None


def _described(source: str, overrides: Sequence[str]) -> DictConfig:
    """What a recipe would say of a folder or file."""
    place = Path(source).expanduser()
    named = any(override.startswith("data.use=") for override in overrides)
    if not named and (layout := instance_layout(place)):
        return OmegaConf.create({"data": {"root": source, **layout}})
    if (place / "dataset_dict.json").is_file():
        return OmegaConf.create({"data": {"use": HUB, "root": source}})
    if place.is_file() or (place / "state.json").is_file():  # one split alone
        return OmegaConf.create({"data": {"use": HUB, "root": source, "val": None, "test": None}})
    return OmegaConf.create({"data": {"use": FOLDER, "root": source}})


def _sections(
    content: DictConfig, recipe: Path | None, source: str
) -> _Sections | _InstanceSections:
    """``data`` and ``augment``, checked; what else a recipe may hold need not be right, or there.

    Raises:
        UserError: one line that names the source and the key.
    """
    where = source if recipe is None else str(recipe)
    given: dict[str, Any] = {"data": content.get("data")}
    whole = schema_of(OmegaConf.to_container(OmegaConf.create(given)))  # type: ignore[arg-type]
    part = _InstanceSections if whole is InstanceRecipe else _Sections
    others = set() if recipe is None else whole.model_fields.keys() - part.model_fields.keys()
    try:
        for key in others & content.keys():
            del content[key]
        plain: Any = OmegaConf.to_container(content, resolve=True)
        sections = part.model_validate(plain)
    except OmegaConfBaseException as error:
        raise UserError(f"{where}: {first_line(error)}") from error
    except ValidationError as error:
        schema = part if recipe is None else whole
        raise UserError(f"{where}: {finding(error, plain, schema)}") from None
    try:
        sections.data.check("data", given=["split"])
    except UserError as error:
        raise UserError(str(error) if recipe is None else f"{where}: {error}") from error
    return sections


def _own_names(data: Data) -> list[str]:
    """The splits by the data set's own names; one that serves twice is named once.

    A name that nobody wrote is left out where the data set's class says that it has no such split.
    """
    known = getattr(resolve(data.use), "splits", ())
    names = [
        getattr(data, role)
        for role in ("train", "val", "test")
        if role in data.model_fields_set or not known or role in known
    ]
    return list(dict.fromkeys(name for name in names if name is not None))


def _splits_of(root: Path, data: Data) -> list[str]:
    """The folders in ``images``, without those that ``data.test=null`` and the like leave out."""
    if not root.is_dir():
        raise UserError(f"{root}: no such folder or file")
    images = root / "images"
    names = [path.name for path in images.iterdir() if path.is_dir()] if images.is_dir() else []
    names = [name for name in names if not name.startswith(".")]
    if not names:
        raise UserError(
            f"{root} has no split: expected {root}/images/train/NAME.jpg beside "
            f"{root}/labels/train/NAME.png; for another layout set data.images and data.labels, "
            "or the data set's class by data.use, or give a recipe (bpkd init writes one for what "
            f"annotation tools export){_elsewhere(root)}"
        )
    used = _own_names(data)
    unused = {role for role in ("val", "test") if getattr(data, role) is None} - set(used)
    order = {name: place for place, name in enumerate(used)}
    return sorted({*names} - unused, key=lambda name: (order.get(name, len(order)), name))


def _elsewhere(root: Path) -> str:
    """The end of a message: a folder near ``root`` that holds images beside labels."""
    around = [root.absolute().parent, *sorted(path for path in root.iterdir() if path.is_dir())]
    near = [place for place in around if all((place / it).is_dir() for it in ("images", "labels"))]
    return f"; did you mean {near[0]}?" if near else ""
