"""The data that a recipe names, or a plain folder: its splits, ready to be looked at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf
from pydantic import BaseModel, ConfigDict, ValidationError

from bpkd.errors import UserError
from bpkd.messages import finding
from bpkd.recipe import load_recipe
from bpkd.recipe_files import change
from bpkd.sections import Augment, Data

FOLDER = "bpkd.datasets.folder.Folder"


class _Sections(BaseModel):
    """The keys of a recipe that say what the data are and how training sees them."""

    model_config = ConfigDict(extra="forbid")

    data: Data
    augment: Augment = Augment()


@dataclass
class Opened:
    """The data of a recipe or a folder.

    Attributes:
        data: the data set, to be built with a split.
        augment: what training does to an image.
        splits: own names of the splits, that of training first.
    """

    data: Data
    augment: Augment
    splits: list[str]

    def build(self, split: str) -> Any:
        """The data set of a split.

        Raises:
            UserError: it has no such split, or something is wrong with its folders.
        """
        return self.data.built("data", split=self.data.own_name(split))


def opened(source: str, overrides: Sequence[str] = ()) -> Opened:
    """The data of a recipe, or of a folder in :class:`~bpkd.datasets.folder.Folder`'s layout.

    Args:
        source: a recipe's file or name, or a folder of ``images/SPLIT`` and ``labels/SPLIT``.
        overrides: ``key=value`` as in a recipe, such as ``data.classes=[road,car]``; with
            ``data.use=...`` a folder may be in the layout of another data set.

    Raises:
        UserError: no such recipe or folder, or a key that does not fit.

    >>> opened("demo/plain").splits
    ['train', 'val', 'test']
    """
    if not Path(source).expanduser().is_dir() or (Path(source) / "recipe.yaml").is_file():
        recipe = load_recipe(source, list(overrides))
        return Opened(recipe.data, recipe.augment, _own_names(recipe.data))
    content = OmegaConf.create({"data": {"use": FOLDER, "root": source}})
    for override in overrides:
        change(content, override)
    plain = OmegaConf.to_container(content, resolve=True)
    try:
        sections = _Sections.model_validate(plain)
    except ValidationError as error:
        raise UserError(f"{source}: {finding(error, plain, _Sections)}") from None
    sections.data.check("data", given=["split"])
    named = {"images", "labels"} & sections.data.arguments.keys()
    if sections.data.use != FOLDER or named:
        return Opened(sections.data, sections.augment, _own_names(sections.data))
    return Opened(sections.data, sections.augment, _splits_of(Path(source).expanduser()))


def _own_names(data: Data) -> list[str]:
    """The splits by the data set's own names; one that serves twice is named once."""
    names = [data.train, data.val, data.test]
    return list(dict.fromkeys(name for name in names if name is not None))


def _splits_of(root: Path) -> list[str]:
    """The folders in ``images``: train, val and test first."""
    images = root / "images"
    names = [path.name for path in images.iterdir() if path.is_dir()] if images.is_dir() else []
    names = [name for name in names if not name.startswith(".")]
    if not names:
        raise UserError(
            f"{root} has no split: expected {root}/images/train/NAME.jpg beside "
            f"{root}/labels/train/NAME.png; for another layout set data.images and data.labels, "
            "or the data set's class by data.use, or give a recipe"
        )
    usual = ["train", "val", "test"]
    return sorted(names, key=lambda name: (usual.index(name) if name in usual else 3, name))
