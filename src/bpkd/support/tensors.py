"""Reading and writing tensors: data, never programs."""

from __future__ import annotations

import pickle
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from bpkd.errors import UserError
from bpkd.support.addresses import is_address
from bpkd.support.fetched import fetched
from bpkd.support.files import replacing
from bpkd.support.holding import chosen, is_average, state_dicts
from bpkd.support.inert import read_inert
from bpkd.support.messages import one_line


def read_checkpoint(path: str | Path) -> Any:
    """What a safetensors or PyTorch file holds: tensors, numbers, text, lists and dicts.

    Objects of other kinds are passed over, and nothing in the file is run: what stands for them is
    a :class:`bpkd.support.inert.Inert`. An ``https://`` address is fetched once, see
    :func:`bpkd.support.fetched.fetched`.

    Raises:
        UserError: no such file, or one that is damaged or of another kind.
    """
    path = fetched(str(path)) if is_address(path) else Path(path)
    if not path.is_file():
        raise UserError(f"{path}: no such file of weights; give the path of an existing file")
    try:
        path.open(
            "rb"
        ).close()  # safetensors says of a file that may not be read that there is none
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from error
    try:
        if path.suffix == ".safetensors":
            return safetensors.torch.load_file(path)
        try:
            return torch.load(path, map_location="cpu", weights_only=True)
        except pickle.UnpicklingError:  # objects that torch does not know
            return read_inert(path)
    except Exception as error:  # the readers meet damaged files with many kinds of exceptions
        # Never torch's own advice: it is to run the file.
        reason = re.split(r"weights_only|\. ", one_line(error))[0]
        raise UserError(
            f"{path}: not a readable file of tensors ({reason}); expected safetensors, or what "
            "torch.save wrote of a state dict"
        ) from error


def read_tensors(path: str | Path, key: str | None = None) -> dict[str, Tensor]:
    """The tensors of a safetensors or PyTorch file, by name, on the CPU.

    Args:
        path: the file; a PyTorch file may hold them a level down under any key, among others, or
            as a whole module.
        key: which of several state dicts, e.g. ``state_dict_ema``; None: the likeliest, and a line
            on standard error where there is an average beside it.

    Raises:
        UserError: no such file, no tensors in it, or none of that key.
    """
    return tensors_of(read_checkpoint(path), path, key)


def tensors_of(content: Any, path: str | Path, key: str | None = None) -> dict[str, Tensor]:
    """The tensors of what :func:`read_checkpoint` read; see :func:`read_tensors`."""
    held = state_dicts(content)
    if not held:
        raise UserError(f"{path}: holds no tensors by name; expected a network's state dict")
    try:
        taken, tensors = chosen(held, key)
    except KeyError as error:
        raise UserError(f"{path}: holds no tensors under {key!r}; {error.args[0]}") from None
    averages = [name for name in held if is_average(name)]
    if key is None and averages and not is_average(taken):
        print(
            f"{path}: taken are the weights under {taken!r}; their moving average is there too: "
            f"checkpoint_key: {averages[0]}",
            file=sys.stderr,
            flush=True,
        )
    for name, tensor in tensors.items():
        if tensor.is_meta or tensor.layout != torch.strided or tensor.is_quantized:
            kind = "without values" if tensor.is_meta else "sparse or quantized"
            raise UserError(f"{path}: {name} is {kind}; expected plain tensors, as of training")
    return tensors


def write_tensors(network: nn.Module, path: Path) -> None:
    """Write a network's state dict as safetensors."""
    _write(network.state_dict(), path)


def write_student_of(state: Mapping[str, Tensor], path: Path) -> None:
    """Write the student of a run's checkpoint as :func:`write_tensors` writes a network."""
    prefix = "student."
    _write({k[len(prefix) :]: v for k, v in state.items() if k.startswith(prefix)}, path)


def _write(state: Mapping[str, Tensor], path: Path) -> None:
    tensors = {k: v.detach().cpu().contiguous() for k, v in state.items()}
    with replacing(path) as temporary:
        temporary.touch()
        mode = temporary.stat().st_mode
        try:
            safetensors.torch.save_file(tensors, temporary)
        except safetensors.SafetensorError as error:  # its own name for a full disk
            raise OSError(str(error)) from error
        temporary.chmod(mode)  # safetensors makes files that their owner alone may read


def load_tensors(network: nn.Module, path: str | Path) -> None:
    """Load a file's tensors into a network, every key accounted for.

    Raises:
        UserError: keys are missing, left over, or of another shape: says how many, and which.
    """
    load_into(network, read_tensors(path), path)


def load_into(
    network: nn.Module, found: Mapping[str, Tensor], path: str | Path, hint: str = ""
) -> None:
    """Load tensors by name, as :func:`load_tensors`.

    Args:
        network: any.
        found: tensors by the network's own names. Counters of batch normalisation may be missing:
            they came late, and no network of today's uses them.
        path: for the message.
        hint: what to do, at the message's end.

    Raises:
        UserError: the keys, shapes or kinds differ, or a number is not finite that has to be.
    """
    wanted = network.state_dict()
    if problem := key_mismatch(wanted, found):
        advice = hint or "give the checkpoint of this network, or the recipe of that one"
        raise UserError(f"{path}: a checkpoint of another network: {problem}; {advice}")
    if problem := not_finite(wanted, found):
        raise UserError(f"{path}: {problem}; training went wrong there: give an earlier checkpoint")
    network.load_state_dict({**{key: wanted[key] for key in wanted if key not in found}, **found})


def not_finite(wanted: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> str:
    """Which tensors hold NaN or infinity where a new network's do not; empty where none does.

    Example:
        >>> not_finite({"w": torch.zeros(2)}, {"w": torch.tensor([1.0, float("nan")])})
        '1 of 1 tensors are not finite (w)'
    """
    broken = [
        key
        for key, value in found.items()
        if value.is_floating_point()
        and not value.float().isfinite().all()
        and (wanted[key].is_meta or bool(wanted[key].isfinite().all()))
    ]
    if not broken:
        return ""
    return f"{len(broken)} of {len(found)} tensors are not finite ({', '.join(broken[:2])})"


def key_mismatch(wanted: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> str:
    """How two state dicts differ in keys, shapes and kinds, in one phrase; empty where they agree.

    Example:
        >>> key_mismatch({"weight": torch.zeros(2, 3)}, {"weight": torch.zeros(5, 3)})
        '0 of 1 keys missing, 0 unknown, 1 of another shape (weight: [5, 3] for [2, 3])'
        >>> key_mismatch({"weight": torch.zeros(2)}, {"weight": torch.ones(2)})
        ''
        >>> key_mismatch({"weight": torch.zeros(2)}, {"weight": torch.ones(2, dtype=torch.int64)})
        '1 of 1 tensors of another kind (weight: int64 for float32)'
    """
    missing = [key for key in wanted if key not in found]
    extra = [key for key in found if key not in wanted]
    both = [key for key in wanted if key in found]
    shapes = [
        f"{key}: {list(found[key].shape)} for {list(wanted[key].shape)}"
        for key in both
        if found[key].shape != wanted[key].shape
    ]
    needed = [key for key in missing if not key.endswith("num_batches_tracked")]
    if needed or extra or shapes:
        examples = ", ".join([*missing[:1], *extra[:1], *shapes[:1]])
        return (
            f"{len(missing)} of {len(wanted)} keys missing, {len(extra)} unknown, "
            f"{len(shapes)} of another shape ({examples})"
        )
    kinds = [
        f"{key}: {_kind(found[key])} for {_kind(wanted[key])}"
        for key in both
        if found[key].is_floating_point() != wanted[key].is_floating_point()
        or found[key].is_complex()
    ]
    return f"{len(kinds)} of {len(wanted)} tensors of another kind ({kinds[0]})" if kinds else ""


def _kind(tensor: Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")


def tensors_in(output: Any) -> Iterator[Tensor]:
    """The tensors in whatever holds them."""
    if isinstance(output, Tensor):
        yield output
    elif isinstance(output, dict | list | tuple):
        for value in output.values() if isinstance(output, dict) else output:
            yield from tensors_in(value)
