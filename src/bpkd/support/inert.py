"""Reading a pickle's tensors past everything else in it: nothing of the file is ever called.

A pickle names classes and functions and says with what to call them. Here each name, whatever it
is, gives a stand-in that takes all arguments and does nothing; only tensors are made, of the
storages that torch itself reads. So a training program's own objects beside the weights (a log, a
namespace of settings, a whole module) do not matter, and a hostile file has nothing to start.
"""

from __future__ import annotations

import pickle
import zipfile
from collections import OrderedDict
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor

#: How a file of torch.save's before 1.6 begins: its magic number, pickled.
_OLD = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19."


class Inert:
    """Stands for an object of any class: keeps what it is given, and does nothing with it.

    Example:
        >>> thing = Inert("rm", flag=True)("again")
        >>> thing.append(1), thing.state
        (None, None)
    """

    state: Any = None

    def __new__(cls, *args: Any, **kwargs: Any) -> Inert:
        """Whatever it is called with."""
        return object.__new__(cls)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.held: dict[Any, Any] = {}

    def __call__(self, *args: Any, **kwargs: Any) -> Inert:
        """As a function would be."""
        return Inert()

    def __setstate__(self, state: Any) -> None:
        self.__dict__["state"] = state

    def __setitem__(self, key: Any, value: Any) -> None:
        self.__dict__.setdefault("held", {})[key] = value

    def append(self, item: Any) -> None:
        """A pickle fills lists of any class so."""

    def extend(self, items: Any) -> None:
        """The same, several at once."""

    def add(self, item: Any) -> None:
        """The same, of sets."""


class _MakeTensor:
    """Stands for torch's functions that make a tensor of a storage."""

    __slots__ = ()

    def __call__(self, storage: Any, offset: int, size: Any, stride: Any, *rest: Any) -> Tensor:
        """As torch calls it."""
        made: Tensor = torch._utils._rebuild_tensor_v2(  # type: ignore[no-untyped-call]
            storage, offset, size, stride, False, OrderedDict()
        )
        return made


class _MakeParameter:
    """Stands for torch's functions that make a parameter of a tensor."""

    __slots__ = ()

    def __call__(self, data: Any, *rest: Any) -> Any:
        return data


_KNOWN: dict[tuple[str, str], type] = {
    ("torch._utils", "_rebuild_tensor"): _MakeTensor,
    ("torch._utils", "_rebuild_tensor_v2"): _MakeTensor,
    ("torch._utils", "_rebuild_parameter"): _MakeParameter,
    ("torch._utils", "_rebuild_parameter_with_state"): _MakeParameter,
}


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        """What stands for a name; nothing is imported."""
        if (module, name) in _KNOWN:
            return _KNOWN[module, name]()
        if (module, name) in (("collections", "OrderedDict"), ("collections", "defaultdict")):
            return _Dictionary()
        found = getattr(torch, name, None) if module == "torch" and name.isidentifier() else None
        return found if isinstance(found, torch.dtype) else type("Inert", (Inert,), {})


class _Dictionary:
    """Stands for dictionaries' own classes; whatever they are made of, they begin empty."""

    __slots__ = ()

    def __call__(self, *args: Any) -> OrderedDict[Any, Any]:
        return OrderedDict()


def read_inert(path: Path) -> Any:
    """What a file of torch.save's holds: tensors, numbers, text, lists, dicts, and stand-ins.

    Raises:
        ValueError: it is no such file.
        Exception: of many kinds, where it is damaged.
    """
    if not _is_saved(path):
        raise ValueError("a pickle that torch.save did not write")
    reader = SimpleNamespace(
        Unpickler=_Unpickler,
        load=lambda file, **options: _Unpickler(file, **options).load(),
        __name__="inert",
    )
    return torch.load(path, map_location="cpu", pickle_module=reader, weights_only=False)


def _is_saved(path: Path) -> bool:
    """Whether torch.save wrote it: torch would take other files for programs of other kinds."""
    with path.open("rb") as stream:
        if stream.read(len(_OLD)) == _OLD:
            return True
    if not zipfile.is_zipfile(path):
        return False
    names = torch._C.PyTorchFileReader(str(path)).get_all_records()
    return "constants.pkl" not in names  # TorchScript's


def module_tensors(thing: Inert, prefix: str = "") -> dict[str, Tensor]:
    """The state dict of a whole module that a file holds instead of one; empty for others.

    Example:
        >>> thing = Inert()
        >>> thing.__setstate__({"_parameters": {"weight": torch.ones(2)}, "_buffers": {},
        ...     "_modules": {}})
        >>> module_tensors(thing, "conv.")
        {'conv.weight': tensor([1., 1.])}
    """
    found: dict[str, Tensor] = {}
    state = thing.state if isinstance(thing.state, dict) else {}
    own, hidden = (state.get(key) for key in ("_parameters", "_non_persistent_buffers_set"))
    buffers = state.get("_buffers")
    for group in (own, buffers):
        for key, value in group.items() if isinstance(group, dict) else ():
            is_kept = not (isinstance(hidden, set | list) and key in hidden)
            if isinstance(value, Tensor) and is_kept:
                found[f"{prefix}{key}"] = value.detach()
    modules = state.get("_modules")
    for key, value in modules.items() if isinstance(modules, dict) else ():
        if isinstance(value, Inert):
            found |= module_tensors(value, f"{prefix}{key}.")
    return found
