"""What a training program's checkpoint holds: which of its dictionaries are a network's tensors."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from bpkd.support.inert import Inert, module_tensors
from bpkd.support.messages import suggestion

#: Under what programs put a network, the likeliest first.
_USUAL = ("state_dict", "model_state_dict", "model", "net", "network", "weights", "module")
#: What wrappers put into the names of tensors: torch.compile, FSDP, activation checkpointing.
_WRAPPERS = re.compile(r"(?<![^.])(_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module)\.")
_EMA = re.compile(r"(^|_)ema(_|$)|averaged")
_OTHER = re.compile(r"optim|sched|scaler|loss|criterion|hyper|callback|loop")


def state_dicts(content: Any) -> dict[str, dict[str, Tensor]]:
    """The state dicts in a checkpoint by their keys, the likeliest first; "" is the whole file.

    Example:
        >>> import torch
        >>> weights = {"module._orig_mod.w": torch.ones(1)}
        >>> state_dicts({"epoch": 3, "optimizer": {}, "net": weights})
        {'net': {'module.w': tensor([1.])}}
    """
    if isinstance(content, Inert):
        tensors = _tensors(content)
        return {"": tensors} if tensors else {}
    if not isinstance(content, Mapping):
        return {}
    if tensors := _tensors(content):
        return {"": tensors}
    found = {k: _tensors(v) for k, v in content.items() if isinstance(k, str)}
    for key, value in content.items():  # one level down again: {"checkpoint": {"model": ...}}
        if isinstance(key, str) and not found[key] and isinstance(value, Mapping):
            found |= {f"{key}.{k}": _tensors(v) for k, v in value.items() if isinstance(k, str)}
    return {key: found[key] for key in sorted(found, key=_rank) if found[key]}


def _rank(key: str) -> tuple[int, int]:
    last = key.rpartition(".")[2]
    usual = _USUAL.index(last) if last in _USUAL else len(_USUAL)
    return (2 if _OTHER.search(key) else 1 if _EMA.search(key) else 0, usual)


def is_average(key: str) -> bool:
    """Whether a key names the weights' moving average.

    Example:
        >>> is_average("state_dict_ema"), is_average("model_ema"), is_average("schema")
        (True, True, False)
    """
    return bool(_EMA.search(key))


def _tensors(value: Any) -> dict[str, Tensor]:
    if isinstance(value, Inert):
        return module_tensors(value)
    if not isinstance(value, Mapping):
        return {}
    return {
        _WRAPPERS.sub("", key): each
        for key, each in value.items()
        if isinstance(key, str) and isinstance(each, Tensor)
    }


def chosen(held: dict[str, dict[str, Tensor]], key: str | None) -> tuple[str, dict[str, Tensor]]:
    """One of a file's state dicts: the one of a key, or the likeliest.

    Raises:
        KeyError: there is none of that key; the message says which there are.
    """
    if key is None:
        return next(iter(held.items()))
    if key not in held:
        raise KeyError(suggestion(key, [each or "(the whole file)" for each in held]))
    return key, held[key]


def said_classes(content: Any) -> list[str] | None:
    """The names of the classes that a checkpoint says its network has; None where it says none.

    OpenMMLab's files say so under ``meta``.

    Example:
        >>> said_classes({"meta": {"CLASSES": ("sky", "road")}})
        ['sky', 'road']
    """
    meta = content.get("meta") if isinstance(content, Mapping) else None
    if not isinstance(meta, Mapping):
        return None
    for place in (meta, meta.get("dataset_meta")):
        for key in ("classes", "CLASSES"):
            names = place.get(key) if isinstance(place, Mapping) else None
            if isinstance(names, list | tuple) and names and all(isinstance(n, str) for n in names):
                return list(names)
    return None
