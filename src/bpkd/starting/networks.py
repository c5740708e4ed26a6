"""The networks of a recipe: chosen for the machine, or named in a word."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import timm

import bpkd.networks as ours
from bpkd.errors import UserError
from bpkd.recipe.dotted import resolve
from bpkd.starting.machine import Machine
from bpkd.support.messages import suggestion

_DEEPLAB = "bpkd.networks.deeplabv3plus.DeepLabV3Plus"
_FOREIGN = "bpkd.networks.foreign"
_LARGE = 10.0  # GiB


@dataclass(frozen=True)
class Chosen:
    """A network of a recipe.

    Attributes:
        section: ``use`` and arguments; or, of a teacher that is trained already, the run's folder.
        why: for the comment.
        trained: whether it is not to be trained any more.
    """

    section: dict[str, Any] | str
    why: str = ""
    trained: bool = field(default=False)


def teacher(word: str | None, machine: Machine, weights: str | None) -> Chosen:
    """The teacher that a word names, or one that fits the machine.

    Args:
        word: a run's folder, an exported file, ``owner/name`` of transformers, a name of
            :mod:`bpkd.networks`, a backbone of timm, a dotted path; None chooses.
        machine: to train on.
        weights: of the backbone: ``hub``, a folder of files, or None.

    Raises:
        UserError: the word names nothing.
    """
    if word is None:
        if machine.gpu and machine.memory >= _LARGE:
            section = _deeplab("resnet101d", 512, 16, weights)
            return Chosen(section, f"large: {machine}")
        if machine.gpu:
            return Chosen(_deeplab("resnet50d", 256, 16, weights), f"middling: {machine}")
        section = _deeplab("tf_efficientnet_lite2", 64, 32, weights)
        return Chosen(section, f"as much as a processor trains: {machine}")
    place = Path(word).expanduser()
    if (place / "recipe.yaml").is_file():
        return Chosen(word, "a run, trained already", trained=True)
    if place.is_file():
        return Chosen({"use": f"{_FOREIGN}.from_file", "path": word}, "an exported file", True)
    return Chosen(_named(word, 256, weights), "as asked for", _is_hub(word))


def student(word: str | None, machine: Machine, weights: str | None) -> Chosen:
    """The student that a word names, or one that fits the machine: see :func:`teacher`."""
    if word is None:
        if machine.gpu:
            return Chosen(_deeplab("resnet18d", 128, 16, weights), "about a quarter of the teacher")
        section = _deeplab("tf_efficientnet_lite0", 32, 32, weights) | {"reduced_channels": 16}
        return Chosen(section, "small enough to run on a processor")
    if Path(word).expanduser().exists():
        raise UserError(f"--student {word} is a file or folder: name a network to train")
    return Chosen(_named(word, 64, weights), "as asked for")


def _deeplab(backbone: str, channels: int, stride: int, weights: str | None) -> dict[str, Any]:
    return {
        "use": _DEEPLAB,
        "backbone": backbone,
        "output_stride": stride,
        "channels": channels,
        "weights": _weights(backbone, weights),
    }


def _named(word: str, channels: int, weights: str | None) -> dict[str, Any]:
    if _is_hub(word):
        return {"use": f"{_FOREIGN}.from_transformers", "model": word}
    if word in ours.__all__ and word.islower():
        return {"use": f"bpkd.networks.{word}", "weights": _weights(word, weights)}
    if timm.is_model(word):
        return _deeplab(word, channels, 32, weights)
    if word.count(".") >= 1 and word.replace(".", "").isidentifier():
        resolve(word)
        return {"use": word}
    known = [*(name for name in ours.__all__ if name.islower()), *timm.list_models()]
    raise UserError(
        f"{word!r} is no network: expected a name of bpkd.networks, a backbone of timm, "
        f"owner/name of transformers, a dotted path, or for a teacher a run's folder; "
        f"{suggestion(word, known)}"
    )


def _is_hub(word: str) -> bool:
    """Whether a word may be ``owner/name``: not where the owner is a folder here, as ``runs``."""
    owner, slash, name = word.partition("/")
    return bool(slash and owner and name) and "/" not in name and not Path(owner).exists()


def _weights(backbone: str, weights: str | None) -> str | None:
    """The file of a backbone in a folder; ``hub`` and None as they are.

    Raises:
        UserError: the folder holds no such file.
    """
    if weights is None or weights == "hub":
        return weights
    folder = Path(weights).expanduser()
    files = sorted(folder.glob(f"{backbone}[.-]*")) if folder.is_dir() else []
    if not files:
        raise UserError(
            f"--weights {weights}: expected hub, none, or a folder that holds the weights of "
            f"{backbone}, as {backbone}.safetensors"
        )
    return str(files[0])
