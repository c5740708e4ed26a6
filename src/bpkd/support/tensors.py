"""Reading and writing tensors: data, never programs."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from bpkd.errors import UserError
from bpkd.support.fetched import fetched, is_address
from bpkd.support.files import replacing


def read_checkpoint(path: str | Path) -> Any:
    """What a safetensors or PyTorch file holds: tensors, numbers, text, lists and dicts.

    An ``https://`` address is fetched once, see :func:`bpkd.support.fetched.fetched`.

    Raises:
        UserError: no such file, or one that is damaged or holds anything else.
    """
    path = fetched(str(path)) if is_address(path) else Path(path)
    if not path.is_file():
        raise UserError(f"{path}: no such file of weights; give the path of an existing file")
    try:
        if path.suffix == ".safetensors":
            return safetensors.torch.load_file(path)
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # the readers meet damaged files with many kinds of exceptions
        if pickled := re.search(r"GLOBAL (\S+)", str(error)):
            raise UserError(
                f"{path}: holds Python objects besides tensors ({pickled[1]}), and reading those "
                "would run code from the file; save its state_dict alone in a new file, with the "
                "program that wrote it"
            ) from error
        reason = str(error).strip().split("\n")[0]
        raise UserError(
            f"{path}: not a readable file of tensors ({reason}); expected safetensors, or what "
            "torch.save wrote of a state dict"
        ) from error


def read_tensors(path: str | Path) -> dict[str, Tensor]:
    """The tensors of a safetensors or PyTorch file, by name, on the CPU.

    A PyTorch file may hold them under ``state_dict`` or ``model``.

    Raises:
        UserError: no such file, or not a file of tensors alone.
    """
    content = read_checkpoint(path)
    for key in ("state_dict", "model"):
        if isinstance(content, dict) and isinstance(content.get(key), dict):
            content = content[key]
    items = content.items() if isinstance(content, dict) else ()
    tensors = {key: value for key, value in items if isinstance(value, Tensor)}
    if not tensors:
        raise UserError(f"{path}: holds no tensors by name; expected a network's state dict")
    return tensors


def write_tensors(network: nn.Module, path: Path) -> None:
    """Write a network's state dict as safetensors."""
    tensors = {k: v.detach().cpu().contiguous() for k, v in network.state_dict().items()}
    with replacing(path) as temporary:
        try:
            safetensors.torch.save_file(tensors, temporary)
        except safetensors.SafetensorError as error:  # its own name for a full disk
            raise OSError(str(error)) from error


def load_tensors(network: nn.Module, path: str | Path) -> None:
    """Load a file's tensors into a network, every key accounted for.

    Raises:
        UserError: keys are missing, left over, or of another shape: says how many, and which.
    """
    load_into(network, read_tensors(path), path)


def load_into(network: nn.Module, found: dict[str, Tensor], path: str | Path) -> None:
    """Load tensors by name, as :func:`load_tensors`; ``path`` is for the message."""
    if problem := key_mismatch(network.state_dict(), found):
        raise UserError(
            f"{path}: a checkpoint of another network: {problem}; "
            "give the checkpoint of this network, or the recipe of that one"
        )
    network.load_state_dict(found)


def key_mismatch(wanted: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> str:
    """How two state dicts differ in keys and shapes, in one phrase; empty where they agree.

    Example:
        >>> key_mismatch({"weight": torch.zeros(2, 3)}, {"weight": torch.zeros(5, 3)})
        '0 of 1 keys missing, 0 unknown, 1 of another shape (weight: [5, 3] for [2, 3])'
        >>> key_mismatch({"weight": torch.zeros(2)}, {"weight": torch.ones(2)})
        ''
    """
    missing = [key for key in wanted if key not in found]
    extra = [key for key in found if key not in wanted]
    shapes = [
        f"{key}: {list(found[key].shape)} for {list(wanted[key].shape)}"
        for key in wanted
        if key in found and found[key].shape != wanted[key].shape
    ]
    if not missing and not extra and not shapes:
        return ""
    examples = ", ".join([*missing[:1], *extra[:1], *shapes[:1]])
    return (
        f"{len(missing)} of {len(wanted)} keys missing, {len(extra)} unknown, "
        f"{len(shapes)} of another shape ({examples})"
    )
