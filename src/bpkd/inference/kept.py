"""Scores that are kept in a run's folder, and what they were measured on.

They answer again only where everything that was read is the same: weights, images, label maps,
settings, this package's own code, and the code of the user's own classes.
"""

from __future__ import annotations

import hashlib
import inspect
import json
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

from torch import Tensor, nn

import bpkd
from bpkd.datasets.loading import eval_loader
from bpkd.errors import UserError
from bpkd.recipe.schema import Recipe
from bpkd.runs.environment import fingerprint
from bpkd.support.files import replacing
from bpkd.tasks import Scores, Task

#: Libraries whose code is not looked at: they change with their own versions, and seldom.
_LIBRARIES = ("bpkd", "torch", "torchvision", "timm", "transformers", "datasets", "builtins")


def asked(network: nn.Module, data: Any, recipe: Recipe, task: Task) -> str:
    """What a question to :func:`bpkd.inference.evaluation.evaluate` is about, as a hash.

    Args:
        network: whose weights count.
        data: the split; its files are read, or its samples where its files are not known.
        recipe: its evaluation, and how the data are to be read; where they are does not count.
        task: gathers the samples.
    """
    settings = recipe.data.model_dump(mode="json")
    settings.pop("root", None)
    described = [settings, list(data.classes), list(data.palette), task.name]
    return fingerprint(
        network,
        json.dumps(described, default=str),
        recipe.evaluation.model_dump_json(exclude={"every", "batch_size"}),
        _content(data, recipe.workers, task),
        _own_package(),
        _code(type(each) for each in (data, *network.modules())),
    )


def kept(file: Path, question: str, best_by: str, classes: int) -> Scores | None:
    """The scores that a file holds for the same question; None where it holds none, or is damaged.

    Args:
        file: ``evaluation_SPLIT.json`` of a run.
        question: as :func:`asked` gives it.
        best_by: a score that there is in any case.
        classes: how many numbers a list by class has.
    """
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        if content["fingerprint"] != question:
            return None
        scores: Scores = content["scores"]
        whole = {best_by, "parameters", "milliseconds"} <= scores.keys()
        whole = whole and all(_numbers(value, classes) for value in scores.values())
        return scores if whole else None
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


def _numbers(value: Any, classes: int) -> bool:
    """Whether a score is a number, or a list of one a class, or, of confusions, of such lists."""
    if isinstance(value, list):
        return len(value) == classes and all(_numbers(each, classes) for each in value)
    return type(value) in (int, float)


def keep(file: Path, question: str, scores: Scores) -> str:
    """Keep scores in a file; why not, where it cannot be written: they are worth showing anyway."""
    try:
        with replacing(file, make_folder=False) as temporary:
            content = {"fingerprint": question, "scores": scores}
            temporary.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    except UserError as error:
        return str(error)
    return ""


def _content(data: Any, workers: int, task: Task) -> str:
    """A hash of a split's images and labels: of its files, or of what it gives."""
    digest = hashlib.sha256()
    pairs = getattr(data, "pairs", None)
    own_reader = type(data).__getitem__.__module__.partition(".")[0] == "bpkd"
    if own_reader and isinstance(pairs, list) and pairs and _are_files(pairs):
        for image, labels in pairs:
            for file in (image, labels):
                with open(file, "rb") as stream:
                    digest.update(hashlib.file_digest(stream, "sha256").digest())
        return digest.hexdigest()
    for batch in eval_loader(data, workers=workers, gather=task.gather):
        for part in _parts(batch):
            digest.update(part)
    return digest.hexdigest()


def _are_files(pairs: list[Any]) -> bool:
    return all(
        isinstance(pair, tuple) and len(pair) == 2 and all(Path(file).is_file() for file in pair)
        for pair in pairs
    )


def _parts(batch: Any) -> Iterator[bytes]:
    """A batch as bytes: of its tensors, wherever they are in it, and of whatever else it holds."""
    if isinstance(batch, Tensor):
        yield str((batch.dtype, batch.shape)).encode()
        yield batch.contiguous().numpy().tobytes()
    elif isinstance(batch, dict):
        yield from _parts(list(batch.items()))
    elif isinstance(batch, list | tuple):
        yield str(len(batch)).encode()
        for part in batch:
            yield from _parts(part)
    else:
        yield repr(batch).encode()


@cache
def _own_package() -> str:
    """A hash of this package's code: numbers of another version are measured again."""
    folder = Path(bpkd.__file__).parent
    return _hash(sorted(folder.rglob("*.py"))) + bpkd.__version__


def _code(classes: Iterable[type]) -> str:
    """A hash of the files that define the user's own classes, and those that these are based on."""
    return _hash(sorted(set(_files(classes))))


def _files(classes: Iterable[type]) -> Iterator[Path]:
    for each in {base for cls in classes for base in cls.__mro__}:
        if each.__module__.partition(".")[0] not in _LIBRARIES:
            try:
                yield Path(inspect.getsourcefile(each) or "")
            except (TypeError, OSError):
                continue  # written in C, or at a prompt


def _hash(files: list[Path]) -> str:
    digest = hashlib.sha256()
    for file in files:
        if file.is_file():
            digest.update(file.read_bytes())
    return digest.hexdigest()
