"""The folder of a run: whether it is free, how far the run in it got, what it begins with."""

from __future__ import annotations

import json
import platform
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import lightning
import timm
import torch
import torchvision
import yaml
from lightning_utilities.core.rank_zero import rank_zero_only

import bpkd
from bpkd.datasets.checking.first_look import Looked
from bpkd.errors import UserError
from bpkd.recipe.loading import dump, load_recipe
from bpkd.recipe.schema import Recipe
from bpkd.runs.classes import write_classes
from bpkd.runs.data import write_data
from bpkd.support.files import replacing
from bpkd.support.tensors import read_checkpoint


def prepare(folder: Path, recipe: Recipe, resume: bool, overwrite: bool) -> int:
    """See that the run's folder is free, or find how far the run in it got."""
    last = folder / "last.ckpt"
    # Further processes of a run find the folder that the first one began.
    further = not is_first()
    if (folder / "recipe.yaml").is_file():
        if overwrite or (further and not resume):
            return 0
        if not resume:
            raise UserError(
                f"{folder} already holds a run; go on with it by --resume, replace it by "
                "--overwrite, or choose another folder by run=FOLDER"
            )
        _same_recipe(folder, recipe)
        if last.is_file():
            return int(read_checkpoint(last)["global_step"])
    elif folder.is_dir() and any(folder.iterdir()) and not further:
        raise UserError(f"{folder} holds files that are no run; choose another run=FOLDER")
    return 0


def is_first() -> bool:
    """Whether this is the run's first process, before there is a trainer to ask."""
    return bool(getattr(rank_zero_only, "rank", 0) == 0)


def begin(
    folder: Path, recipe: Recipe, data: Any, start: int, looked: Looked | None = None
) -> None:
    """Begin the run's folder, now that everything that the recipe names is there."""
    for line in looked.lines() if looked else ():
        print(line, file=sys.stderr)
    if start:
        return
    shutil.rmtree(folder, ignore_errors=True)  # empty, or a run that is to be overwritten
    with replacing(folder / "recipe.yaml") as file:
        file.write_text(dump(recipe), encoding="utf-8")
    with replacing(folder / "environment.json") as file:
        file.write_text(json.dumps(environment(), indent=2) + "\n")
    write_classes(folder, data)
    if looked is not None:
        write_data(folder, looked.as_json())


@contextmanager
def or_nothing(folder: Path) -> Iterator[None]:
    """A run that fails inside before its first checkpoint leaves no folder: none could go on."""
    try:
        yield
    except Exception:
        if is_first() and not (folder / "last.ckpt").is_file():
            shutil.rmtree(folder, ignore_errors=True)
        raise


def note(folder: Path, **facts: str) -> None:
    """Add to ``environment.json`` what is known only once the run has its devices."""
    known = json.loads((folder / "environment.json").read_text())
    with replacing(folder / "environment.json") as file:
        file.write_text(json.dumps(known | facts, indent=2) + "\n")


def _same_recipe(folder: Path, recipe: Recipe) -> None:
    """Refuse to go on with another recipe than the run began with."""
    # As it is read today: a key that came later had its default then.
    before = yaml.safe_load(dump(load_recipe(folder / "recipe.yaml")))
    now = yaml.safe_load(dump(recipe))
    for key, value in now.items():
        if before.get(key) != value and key not in ("workers", "devices", "nodes"):
            raise UserError(
                f"{folder}: the run began with {key}: {before.get(key)!r}, the recipe now says "
                f"{value!r}; resume with the same recipe, or choose another run=FOLDER"
            )


def environment() -> dict[str, str]:
    """Versions and machine, for the run's folder."""
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else "none"
    modules = {"bpkd": bpkd, "torch": torch, "torchvision": torchvision, "timm": timm}
    versions = {name: str(module.__version__) for name, module in modules.items()}
    return {
        **versions,
        "lightning": lightning.__version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "gpu": gpu,
        "threads": str(torch.get_num_threads()),
        "command": " ".join(sys.argv),
    }
