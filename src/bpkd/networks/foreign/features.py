"""Feature maps of any network, by the names of its modules."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from math import isqrt
from typing import Any

from torch import Tensor, nn
from torch.nn.modules.dropout import _DropoutNd

from bpkd.errors import UserError
from bpkd.support.messages import suggestion

# Where a library's output holds its maps, the best first. What a segmentation head reads is the
# last of the hidden states; the last hidden state itself may have passed one more normalisation.
_KEYS = (
    "decoder_last_hidden_state",
    "decoder_last_feature",
    "feature_maps",
    "hidden_states",
    "last_hidden_state",
    "out",
)


@contextmanager
def kept(network: nn.Module, places: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    """What some modules give, or are given, in a forward pass inside the block.

    The hooks live as long as the block: a network outside it can be copied and pickled, and
    nothing holds on to a step's graph.

    Args:
        network: any.
        places: name -> a module's path in the network, with ``:input`` at its end for what the
            module is given instead of what it gives.

    Example:
        >>> import torch
        >>> network = nn.Sequential(nn.ReLU(), nn.Identity())
        >>> with kept(network, {"a": "0", "b": "0:input"}) as found:
        ...     _ = network(torch.tensor([-1.0, 1.0]))
        >>> found["a"].tolist(), found["b"].tolist()
        ([0.0, 1.0], [-1.0, 1.0])
    """
    found: dict[str, Any] = {}
    handles = []
    for name, place in places.items():
        path, _, end = place.partition(":")
        module = network.get_submodule(path)
        if end == "input":
            hook = partial(_keep_input, found, name)
            handles.append(module.register_forward_pre_hook(hook, with_kwargs=True))
        else:
            handles.append(module.register_forward_hook(partial(_keep_output, found, name)))
    try:
        yield found
    finally:
        for handle in handles:
            handle.remove()


def _keep_input(
    found: dict[str, Any], name: str, module: nn.Module, args: Any, kwargs: Any
) -> None:
    found[name] = args[0] if args else next(iter(kwargs.values()))


def _keep_output(found: dict[str, Any], name: str, module: nn.Module, args: Any, out: Any) -> None:
    found[name] = out


def check_places(network: nn.Module, places: Mapping[str, str]) -> None:
    """Refuse the names of modules that the network does not have.

    Raises:
        UserError: names the feature, the path and the nearest known one.
    """
    known = [name for name, _ in network.named_modules()]
    for name, place in places.items():
        path, _, end = place.partition(":")
        if path not in known:
            raise UserError(
                f"features.{name}: {type(network).__name__} has no module {path!r}; "
                f"{suggestion(path, known)}"
            )
        if end not in ("", "input"):
            raise UserError(f"features.{name}: expected MODULE or MODULE:input, got {place!r}")


def before_classifier(network: nn.Module, num_classes: int | None, skip: str | None) -> str | None:
    """The place of the map that the classifier reads, before its dropout; None if none is found.

    The classifier is the last convolution in the network with one output a class.

    Args:
        network: any.
        num_classes: C, or None where nobody knows.
        skip: path of the auxiliary head, whose classifier it is not.

    Example:
        >>> network = nn.Sequential(nn.Conv2d(3, 8, 1), nn.Dropout(), nn.Conv2d(8, 5, 1))
        >>> before_classifier(network, 5, None)
        '1:input'
    """
    convs = [
        name
        for name, module in network.named_modules()
        if isinstance(module, nn.Conv2d) and module.out_channels == num_classes
        if skip is None or not f"{name}.".startswith(f"{skip}.")
    ]
    path = convs[-1] if convs else ""
    while path:
        parent, _, own = path.rpartition(".")
        siblings = [name for name, _ in network.get_submodule(parent).named_children()]
        index = siblings.index(own)
        if index:
            before = f"{parent}.{siblings[index - 1]}".lstrip(".")
            is_dropout = isinstance(network.get_submodule(before), _DropoutNd)
            return f"{before if is_dropout else convs[-1]}:input"
        path = parent
    return f"{convs[-1]}:input" if convs else None


def as_map(value: Any, size: tuple[int, int], name: str) -> Tensor:
    """A module's output as one map (N, D, h, w).

    Args:
        value: a map, tokens (N, L, D), or a list, tuple or dict of such, of which the last counts.
        size: height and width of the image, for the grid of the tokens.
        name: of the feature, for the message.

    Raises:
        UserError: no map can be made of it.

    Example:
        >>> import torch
        >>> tokens = torch.arange(7.0).view(1, 7, 1)  # a class token, then 2 rows of 3
        >>> as_map(tokens, (32, 48), "backbone")
        tensor([[[[1., 2., 3.],
                  [4., 5., 6.]]]])
    """
    if isinstance(value, Mapping):
        key = next((key for key in _KEYS if value.get(key) is not None), None)
        return as_map(value[key] if key else list(value.values()), size, name)
    if isinstance(value, list | tuple) and value:
        return as_map(value[-1], size, name)
    if isinstance(value, Tensor) and value.dim() == 4:
        return value
    if isinstance(value, Tensor) and value.dim() == 3 and (grid := _grid(value.shape[1], *size)):
        tokens = value[:, value.shape[1] - grid[0] * grid[1] :]
        return tokens.transpose(1, 2).reshape(*tokens.shape[::2], *grid)
    got = f"shape {tuple(value.shape)}" if isinstance(value, Tensor) else type(value).__name__
    raise UserError(f"features.{name}: expected a map (N, D, h, w) or tokens (N, L, D), got {got}")


def _grid(tokens: int, height: int, width: int) -> tuple[int, int] | None:
    """Rows and columns of an image's patches; up to 9 class and register tokens stand first."""
    for count in range(tokens, max(tokens - 10, 0), -1):
        stride = max(round((height * width / count) ** 0.5), 1)
        rows, columns = height // stride, width // stride
        if rows * columns == count:
            return rows, columns
    side = isqrt(tokens)
    return (side, side) if side * side == tokens else None
