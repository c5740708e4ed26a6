"""What decides a teacher's outputs: one folder of records for each set of it."""

from __future__ import annotations

import hashlib
import inspect
import json
import re
from itertools import chain
from pathlib import Path
from typing import Any

import torch
from torch import nn

from bpkd.datasets.unlabelled import Mixed
from bpkd.recipe.components import Component
from bpkd.recipe.dotted import resolve
from bpkd.recipe.loading import load_recipe
from bpkd.recipe.schema import Recipe

#: Of the files; one with another format is never read.
FORMAT = 1


def facts(recipe: Recipe, data: Any, teacher: nn.Module, precision: str) -> dict[str, Any]:
    """All that decides what is kept of draw k, in words that a person can read.

    Where data and checkpoints lie is no part of it: names and sizes of files are, and the weights.
    What else could differ, such as pixels that changed in a file of the same size, each record
    tells by the print of its image.

    Args:
        recipe: of the run.
        data: what is drawn from.
        teacher: with its weights.
        precision: of the networks' forward passes, by Lightning's name.
    """
    cache = recipe.teacher_cache
    assert cache is not None
    return {
        "format": FORMAT,
        "teacher": _teacher(recipe)
        | {"network": digest(_architecture(teacher)), "groups": getattr(teacher, "groups", None)},
        "weights": weights_digest(teacher),
        "precision": precision,
        "data": _data(recipe, data),
        "augment": recipe.augment.model_dump(mode="json"),
        "draws": recipe.draws_seed,
        "dtype": cache.dtype,
        "top_k": cache.top_k,
    }


def name_of(known: dict[str, Any]) -> str:
    """The name of the folder of such facts.

    Example:
        >>> name_of({"a": 1}) == name_of({"a": 1}) != name_of({"a": 2})
        True
    """
    return digest(json.dumps(known, sort_keys=True))[:16]


def digest(text: str) -> str:
    """SHA-256 of a text."""
    return hashlib.sha256(text.encode()).hexdigest()


def weights_digest(network: nn.Module) -> str:
    """SHA-256 of a network's parameters and buffers, those that no checkpoint holds too."""
    total = hashlib.sha256()
    for name, tensor in chain(network.named_parameters(), network.named_buffers()):
        total.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        total.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)
    return total.hexdigest()


def _architecture(network: nn.Module) -> str:
    """A network as it prints itself, without addresses in memory, and its modules' numbers."""
    numbers = [
        f"{name}.{key}={value}"
        for name, module in network.named_modules()
        for key, value in sorted(vars(module).items())
        if _numbers(value) and key not in ("training", "auxiliary_in_eval")
    ]
    return "\n".join([re.sub(r"0x[0-9a-f]+", "", repr(network)), *numbers])


def _numbers(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return all(map(_numbers, value))
    return isinstance(value, int | float)


def _teacher(recipe: Recipe) -> dict[str, Any]:
    teacher = recipe.teacher
    if isinstance(teacher, str):
        return _component(load_recipe(Path(teacher) / "recipe.yaml").student)
    assert teacher is not None
    mapped = {"num_classes": teacher.num_classes, "class_map": teacher.class_map}
    return _component(teacher) | mapped


def _component(component: Component) -> dict[str, Any]:
    """A component in words: arguments, files by their content, code that is not this package's."""
    arguments = {name: _file(value) for name, value in component.arguments.items()}
    arguments.pop("weights", None)  # where a backbone's begin: those that it has are looked at
    described: dict[str, Any] = {"use": component.use, "arguments": arguments}
    if not component.use.startswith("bpkd."):
        try:
            source = inspect.getsourcefile(resolve(component.use))  # type: ignore[arg-type]
            described["code"] = digest(Path(source or "").read_text(encoding="utf-8"))
        except (TypeError, OSError):  # written in C, or in a session: the arguments must do
            described["code"] = None
    return described


def _file(value: Any) -> Any:
    if not isinstance(value, str) or not value or not Path(value).is_file():
        return value
    with Path(value).open("rb") as stream:
        return f"sha256 {hashlib.file_digest(stream, 'sha256').hexdigest()}"


def _data(recipe: Recipe, data: Any) -> dict[str, Any]:
    described = _component(recipe.data) | {
        "split": recipe.data.train,
        "count": len(data),
        "classes": list(map(str, data.classes)),
    }
    if isinstance(data, Mixed):
        sizes = [f"{file.name} {file.stat().st_size}" for file in data.unlabelled.files]
        described["unlabelled"] = {"share": str(data.share), "files": digest("\n".join(sizes))}
    pairs = getattr(data, "pairs", None)
    if pairs and all(isinstance(file, Path) for pair in pairs for file in pair):
        described["arguments"].pop("root", None)
        files = [f"{file.name} {file.stat().st_size}" for pair in pairs for file in pair]
        described["files"] = digest("\n".join(files))
    return described
