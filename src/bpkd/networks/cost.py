"""Parameters and multiply-adds of a network, part by part, counted as the BPKD paper counts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from math import prod
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._python_dispatch import TorchDispatchMode

from bpkd.networks.base import SegNetwork, resize

CONVENTION = (
    "Parameters are the whole network's, its auxiliary head included. Multiply-adds are those of "
    "one image through the backbone, the decode head and the final bilinear resize to the "
    "image's size, without the auxiliary head: 1 a multiply-add of a convolution or matrix "
    "product (bias not counted), 2 an element of a batch normalisation, 1 an input element of an "
    "average pooling to a fixed size, 4 an output element of a bilinear resize (of HRNet's that "
    "change nothing, too); nothing else."
)
_PARTS = {
    "backbone": "backbone",
    "decode head": "decode_head",
    "auxiliary head": "auxiliary_head",
}
aten = torch.ops.aten


def parameters(network: nn.Module) -> dict[str, int]:
    """Parameters of each part, and ``total``.

    A network that is no :class:`SegNetwork` has one part, ``network``.

    Example:
        >>> from bpkd.networks import hrnet_w18s
        >>> with torch.device("meta"):
        ...     network = hrnet_w18s(150)
        >>> parameters(network)  # the head: 270 x 270, 2 x 270; 150 x 270, 150
        {'backbone': 3860720, 'decode head': 114090, 'auxiliary head': 0, 'total': 3974810}
    """
    if not isinstance(network, SegNetwork):
        parts: dict[str, nn.Module | None] = {"network": network}
    else:
        parts = {part: getattr(network, name) for part, name in _PARTS.items()}
    rows = {
        part: sum(value.numel() for value in module.parameters()) if module is not None else 0
        for part, module in parts.items()
    }
    return rows | {"total": sum(rows.values())}


def multiply_adds(network: nn.Module, size: Sequence[int] = (512, 512)) -> dict[str, int]:
    """Multiply-adds of one image of a size, part by part, by :data:`CONVENTION`.

    Nothing is computed: only shapes go through the network, on PyTorch's meta device.

    Args:
        network: images (1, 3, H, W) -> :class:`SegOutput`; stays as it is.
        size: (H, W).

    Returns:
        The parts (``network`` alone where it is no :class:`SegNetwork`), ``resize`` and
        ``total``, which leaves the auxiliary head out.

    Example:
        >>> from bpkd.networks import pspnet_r18
        >>> with torch.device("meta"):
        ...     network = pspnet_r18(150)
        >>> multiply_adds(network)["resize"] == 4 * 150 * 512 * 512
        True
    """
    counts: dict[str, int] = {}

    def run(part: str, module: nn.Module, *inputs: Any) -> Any:
        counter = _Counter()
        with counter, sdpa_kernel(SDPBackend.MATH):
            output = functional_call(module, _meta_tensors(module), inputs)
        counts[part] = counter.count
        return output

    images = torch.empty(1, 3, *size, device="meta")
    with _evaluating(network), torch.no_grad():
        if isinstance(network, SegNetwork):
            maps = run("backbone", network.backbone, images)
            logits = run("decode head", network.decode_head, maps)[0]
            counts["auxiliary head"] = 0
            if network.auxiliary_head is not None:
                run("auxiliary head", network.auxiliary_head, maps)
        else:
            logits = run("network", network, images).logits
        with _Counter() as counter:
            resize(logits, size)
    counts["resize"] = counter.count
    total = sum(count for part, count in counts.items() if part != "auxiliary head")
    return counts | {"total": total}


class _Counter(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Adds up the multiply-adds of the operators that run inside it."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.count = 0

    def __torch_dispatch__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        output = func(*args, **(kwargs or {}))
        if rule := _RULES.get(func.overloadpacket):
            self.count += rule(args, output)
        return output


def _convolution(args: tuple[Any, ...], output: Tensor) -> int:
    maps, weight, transposed = args[0], args[1], args[6]
    # Each weight of a filter meets each element that the filter stands on.
    return int((maps if transposed else output).numel() * prod(weight.shape[1:]))


def _mean(args: tuple[Any, ...], output: Tensor) -> int:
    """Average pooling to 1 x 1 arrives as a mean over both sides; other means do not count."""
    dims = sorted(dim % args[0].ndim for dim in args[1] or ())
    return int(args[0].numel()) if args[0].ndim == 4 and dims == [2, 3] else 0


_RULES: dict[Any, Callable[[tuple[Any, ...], Any], int]] = {
    aten.convolution: _convolution,
    aten.mm: lambda args, output: output.numel() * args[0].shape[-1],
    aten.bmm: lambda args, output: output.numel() * args[0].shape[-1],
    aten.addmm: lambda args, output: output.numel() * args[1].shape[-1],
    aten.baddbmm: lambda args, output: output.numel() * args[1].shape[-1],
    aten.native_batch_norm: lambda args, output: 2 * args[0].numel(),
    aten._adaptive_avg_pool2d: lambda args, output: args[0].numel(),
    aten.mean: _mean,
    aten.upsample_bilinear2d: lambda args, output: 4 * output.numel(),
}


def _meta_tensors(module: nn.Module) -> dict[str, Tensor]:
    """Shapes in the place of the module's parameters and buffers."""
    tensors = dict(module.named_parameters()) | dict(module.named_buffers())
    return {key: torch.empty_like(value, device="meta") for key, value in tensors.items()}


@contextmanager
def _evaluating(network: nn.Module) -> Iterator[None]:
    """Evaluation mode inside, and each module's own mode again after."""
    modes = {module: module.training for module in network.modules()}
    network.eval()
    try:
        yield
    finally:
        for module, mode in modes.items():
            module.training = mode
