"""Networks that are trained as int8 will see them: weights and images of layers in 8 bits.

PyTorch's own fake quantization rounds forward and lets gradients through: weights by channel,
symmetric, in [-127, 127]; what enters a layer by tensor, in [0, 255], its range a moving average of
those seen in training. That is what :mod:`bpkd.export.precision` writes. Weights by channel commute
with folding batch norm into the convolution before it, so nothing has to be folded here.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.ao.quantization import FusedMovingAvgObsFakeQuantize, MovingAverageMinMaxObserver
from torch.nn.utils import parametrize

from bpkd.errors import UserError

_LAYERS = (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)
#: The submodule of a layer that holds the range of what enters it.
_RANGES = "input_ranges"
_ORIGINAL = "parametrizations.weight.original"


class _Weights(nn.Module):
    """Weights on the grid that int8 has: a scale a channel, which the largest number decides.

    Args:
        axis: of the channels.
    """

    def __init__(self, axis: int) -> None:
        super().__init__()
        self.axis = axis

    def forward(self, weight: Tensor) -> Tensor:
        """Weights -> weights."""
        others = [axis for axis in range(weight.dim()) if axis != self.axis]
        scale = (weight.detach().abs().amax(dim=others) / 127).clamp_min(1e-12).float()
        zero = torch.zeros_like(scale, dtype=torch.int32)
        rounded = torch.fake_quantize_per_channel_affine(
            weight.float(), scale, zero, self.axis, -127, 127
        )
        return rounded.to(weight.dtype)


class _Ranges(FusedMovingAvgObsFakeQuantize):  # type: ignore[misc]
    """What enters a layer, in 8 bits of the range seen so far; in evaluation no range moves."""

    def __init__(self) -> None:
        super().__init__(
            observer=MovingAverageMinMaxObserver, quant_min=0, quant_max=255, dtype=torch.quint8
        )
        self._bounds()[0].zero_()  # PyTorch begins with infinities, and checkpoints are finite here
        self._bounds()[1].zero_()

    def _bounds(self) -> tuple[Tensor, Tensor]:
        seen = self.activation_post_process
        return seen.min_val, seen.max_val

    def forward(self, maps: Tensor) -> Tensor:
        """Maps -> maps; as they are where no range is known yet."""
        low, high = self._bounds()
        unknown = low == high
        if self.training:
            low.masked_fill_(unknown, float("inf"))
            high.masked_fill_(unknown, -float("inf"))
        elif bool(unknown.any()):
            return maps
        self.observer_enabled.fill_(int(self.training))
        rounded: Tensor = super().forward(maps.float())
        return rounded.to(maps.dtype)


def fake_quantized(network: nn.Module, where: str = "student") -> nn.Module:
    """Have a network train, and work, as int8 would: in place.

    The names of its weights stay; ranges come to its state dict as ``LAYER.input_ranges.*``. An
    auxiliary head stays as it is, for it does not leave.

    Args:
        network: any with convolutions or linear layers.
        where: for the message.

    Raises:
        UserError: it has no such layer, or its weights are held in a way of their own.

    Example:
        >>> layer = fake_quantized(nn.Linear(2, 1, bias=False)).eval()
        >>> weight = {"weight": torch.tensor([[1.27, 0.506]])}
        >>> _ = layer.load_state_dict({**layer.state_dict(), **weight})
        >>> [round(value, 4) for value in layer.weight.flatten().tolist()]
        [1.27, 0.51]
    """
    found = list(_layers(network))
    if not found:
        raise UserError(
            f"quantize: {where} has no convolution and no linear layer of its own that could be "
            "quantized; leave quantize out"
        )
    for name, layer in found:
        if parametrize.is_parametrized(layer) or not isinstance(layer.weight, nn.Parameter):
            raise UserError(
                f"quantize: {where} computes the weights of {name or 'its layer'}, which cannot be "
                "quantized in training; leave quantize out, and calibrate: bpkd export RUN "
                "--precision int8"
            )
        axis = 1 if isinstance(layer, nn.ConvTranspose2d) else 0
        parametrize.register_parametrization(layer, "weight", _Weights(axis))
        layer.register_state_dict_post_hook(_saved_as_weight)
        layer.register_load_state_dict_pre_hook(_loaded_as_weight)
        layer.add_module(_RANGES, _Ranges())
        layer.register_forward_pre_hook(_enter)
    return network


def is_fake_quantized(network: nn.Module) -> bool:
    """Whether :func:`fake_quantized` was here."""
    return any(isinstance(module, _Ranges) for module in network.modules())


def unquantized(network: nn.Module) -> nn.Module:
    """A copy in plain float, its weights on int8's grid; a network without any as it is.

    Example:
        >>> network = nn.Sequential(nn.Linear(3, 2), nn.ReLU())
        >>> plain = unquantized(fake_quantized(network))
        >>> sorted(plain.state_dict()), is_fake_quantized(plain)
        (['0.bias', '0.weight'], False)
    """
    if not is_fake_quantized(network):
        return network
    network = copy.deepcopy(network)
    for _, layer in _layers(network):
        if parametrize.is_parametrized(layer, "weight"):
            # remove_parametrizations would take it from the class, which the original shares.
            weight = layer.weight.detach()
            delattr(layer, "parametrizations")
            layer.__class__ = type(layer).__bases__[0]
            layer.weight = nn.Parameter(weight)
            delattr(layer, _RANGES)
            for hooks in (
                layer._forward_pre_hooks,
                layer._state_dict_hooks,
                layer._load_state_dict_pre_hooks,
            ):
                hooks.clear()
    return network


def without_ranges(tensors: Mapping[str, Tensor], network: nn.Module) -> dict[str, Tensor]:
    """A checkpoint's tensors for a network that has no ranges.

    Example:
        >>> held = {"0.weight": torch.zeros(1), "0.input_ranges.scale": torch.ones(1)}
        >>> list(without_ranges(held, nn.ReLU()))
        ['0.weight']
    """
    if is_fake_quantized(network):
        return dict(tensors)
    return {name: value for name, value in tensors.items() if f".{_RANGES}." not in f".{name}"}


def _layers(network: nn.Module) -> Iterator[tuple[str, Any]]:
    """The layers with weights that inference uses, by name."""
    auxiliary = getattr(network, "auxiliary_prefix", "auxiliary_head.")
    for name, module in network.named_modules():
        if isinstance(module, _LAYERS) and not name.startswith(auxiliary):
            yield name, module


def _enter(layer: Any, arguments: tuple[Any, ...]) -> tuple[Any, ...]:
    return layer.input_ranges(arguments[0]), *arguments[1:]


def _saved_as_weight(_layer: Any, state: Any, prefix: str, _metadata: Any) -> None:
    state[f"{prefix}weight"] = state.pop(f"{prefix}{_ORIGINAL}")


def _loaded_as_weight(_layer: Any, state: Any, prefix: str, *_: Any) -> None:
    if f"{prefix}weight" in state:
        state[f"{prefix}{_ORIGINAL}"] = state.pop(f"{prefix}weight")
