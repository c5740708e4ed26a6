"""What classes weigh in the student's own loss: as a recipe lists it, or by their shares."""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from bpkd.datasets.parallel import each
from bpkd.errors import UserError
from bpkd.losses.task import library
from bpkd.recipe.schema import Recipe
from bpkd.support.files import replacing_csv

FILE = "class_weights.csv"


def check_own_loss(recipe: Recipe, data: Any) -> None:
    """Refuse a loss of label maps where there are none, and one whose library is not there.

    Raises:
        UserError: names the key.
    """
    given = {
        "class_weights": recipe.class_weights,
        "task_loss": recipe.task_loss,
        "auxiliary_weight": recipe.auxiliary_weight,
    }
    task = getattr(data, "task", "semantic")
    for key, value in given.items():
        if task != "semantic" and value != Recipe.model_fields[key].default:
            raise UserError(f"{key} is for label maps, and {recipe.data.use} has none; take it out")
    if task != "semantic" and recipe.data.unlabelled:
        raise UserError(
            f"data.unlabelled is for label maps, and {recipe.data.use} has none; take it out"
        )
    if recipe.task_loss.dice or recipe.task_loss.lovasz:
        library()


def class_weights(recipe: Recipe, data: Any, begun: Path | None = None) -> tuple[float, ...] | None:
    """One weight a class, or None where the recipe has none.

    Args:
        recipe: ``class_weights`` is a list, ``balanced`` or null.
        data: the data set to train on.
        begun: the folder of a run that goes on, which has them.

    Raises:
        UserError: there are not as many as classes, or no pixel has a class.
    """
    asked, names = recipe.class_weights, list(data.classes)
    if asked is None:
        return None
    if asked == "balanced":
        if begun is not None and (begun / FILE).is_file():
            return _read(begun / FILE, len(names))
        return tuple(balanced(class_shares(data, recipe.workers)))
    if len(asked) != len(names):
        raise UserError(
            f"class_weights: expected one for each of the {len(names)} classes of the data set "
            f"({', '.join(names[:3])}, ...), got {len(asked)}"
        )
    return tuple(float(weight) for weight in asked)


def class_shares(data: Any, workers: int = 0, progress: Callable[[Any], Any] = iter) -> list[float]:
    """Each class's share of the labelled pixels of a data set, every image read once.

    Raises:
        UserError: no pixel has a class.
    """
    counts = torch.zeros(len(data.classes), dtype=torch.int64)
    for found in each(_Counter(data), range(len(data)), workers=workers, progress=progress):
        counts += found
    if not counts.any():
        raise UserError("class_weights: balanced needs labels, and no pixel has a class")
    return (counts.double() / counts.sum()).tolist()


def balanced(shares: Sequence[float]) -> list[float]:
    """1 / (number of classes that occur · share), so that each class counts as much as any other.

    The mean weight of a pixel is 1. A class that never occurs gets 1.

    Example:
        >>> balanced([0.5, 0.25, 0.25, 0.0])
        [0.6666666666666666, 1.3333333333333333, 1.3333333333333333, 1.0]
    """
    occurring = sum(share > 0 for share in shares)
    return [1 / (occurring * share) if share else 1.0 for share in shares]


def write_class_weights(folder: Path, data: Any, weights: Sequence[float]) -> None:
    """Put down what a run's classes weigh."""
    with replacing_csv(folder / FILE, make_folder=False) as stream:
        writer = csv.writer(stream)
        writer.writerow(["name", "weight"])
        writer.writerows(zip(data.classes, weights, strict=True))


def _read(file: Path, classes: int) -> tuple[float, ...]:
    with file.open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    try:
        weights = tuple(float(row["weight"]) for row in rows)
    except (KeyError, TypeError, ValueError):
        weights = ()
    if len(weights) != classes:
        raise UserError(f"{file} is damaged: expected name,weight and a line a class")
    return weights


@dataclass(frozen=True)
class _Counter:
    """Pixels of each class in image i; a function that other processes can be given."""

    data: Any

    def __call__(self, index: int) -> torch.Tensor:
        labels = self.data[index][1].flatten().long()
        classes = len(self.data.classes)
        return torch.bincount(labels[(labels >= 0) & (labels < classes)], minlength=classes)
