"""Parameters and multiply-adds of a network, part by part, counted as the BPKD paper counts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from math import prod, sqrt
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._python_dispatch import TorchDispatchMode

from bpkd.networks.base import SegNetwork, resize
from bpkd.networks.foreign.wrapper import read
from bpkd.networks.solov2 import SOLOv2
from bpkd.networks.solov2.network import padded

CONVENTION = (
    "Parameters are the whole network's, its auxiliary head included. Multiply-adds are those of "
    "one image through the backbone, the decode head and the final bilinear resize to the "
    "image's size, without the auxiliary head: 1 a multiply-add of a convolution or matrix "
    "product (bias not counted), 2 an element of a batch normalisation, 1 an input element of an "
    "average pooling to a fixed size, 4 an output element of a bilinear resize (of HRNet's that "
    "change nothing, too); nothing else."
)
INSTANCES = (
    "SOLOv2 in the same way, a group normalisation like a batch normalisation and a deformable "
    "convolution like a plain one with the convolution of its offsets; the masks, matrix NMS and "
    "their resize depend on what an image shows and are not counted."
)
# The parts of each kind of network, and their attributes.
_PARTS: dict[type[nn.Module], dict[str, str]] = {
    SegNetwork: {
        "backbone": "backbone",
        "decode head": "decode_head",
        "auxiliary head": "auxiliary_head",
    },
    SOLOv2: {"backbone": "backbone", "neck": "neck", "mask head": "mask_head"},
}
aten = torch.ops.aten


def parameters(network: nn.Module) -> dict[str, int]:
    """Parameters of each part, and ``total``.

    A network of another library has one part, ``network``.

    Example:
        >>> from bpkd.networks import hrnet_w18s
        >>> with torch.device("meta"):
        ...     network = hrnet_w18s(150)
        >>> parameters(network)  # the head: 270 x 270, 2 x 270; 150 x 270, 150
        {'backbone': 3860720, 'decode head': 114090, 'auxiliary head': 0, 'total': 3974810}
    """
    rows = dict.fromkeys(_attributes(network), 0)
    for part, module in parts(network).items():
        rows[part] = sum(value.numel() for value in module.parameters())
    return rows | {"total": sum(rows.values())}


def exported_bytes(network: nn.Module) -> int:
    """What the network's numbers take in a file, in fp32: no auxiliary head, batch norm folded.

    A batch norm's scale goes into the convolution before it, its shift stays as that one's bias.

    Example:
        >>> exported_bytes(nn.Sequential(nn.Conv2d(3, 5, 1, bias=False), nn.BatchNorm2d(5)))
        80
    """
    auxiliary = getattr(network, "auxiliary_prefix", "auxiliary_head.")
    count = 0
    for name, module in network.named_modules():
        if f"{name}.".startswith(auxiliary):
            continue
        folded = isinstance(module, nn.modules.batchnorm._BatchNorm)
        for key, value in module.named_parameters(recurse=False):
            count += 0 if folded and key == "weight" else value.numel()
    return 4 * count


def parts(network: nn.Module) -> dict[str, nn.Module]:
    """The parts by name: of a network of ours those it has, else ``network`` alone."""
    if not (attributes := _attributes(network)):
        return {"network": network}
    modules = {part: getattr(network, name) for part, name in attributes.items()}
    return {part: module for part, module in modules.items() if module is not None}


def _attributes(network: nn.Module) -> dict[str, str]:
    return next((parts for kind, parts in _PARTS.items() if isinstance(network, kind)), {})


def multiply_adds(network: nn.Module, size: Sequence[int] = (512, 512)) -> dict[str, int]:
    """Multiply-adds of one image of a size, part by part, by :data:`CONVENTION`.

    Nothing is computed: only shapes go through the network, on PyTorch's meta device.

    Args:
        network: images (1, 3, H, W) -> :class:`SegOutput`; stays as it is.
        size: (H, W).

    Returns:
        The parts (``network`` alone where it is no network of ours), ``resize`` where there are
        logits, and ``total``, which leaves the auxiliary head out.

    Example:
        >>> from bpkd.networks import pspnet_r18
        >>> with torch.device("meta"):
        ...     network = pspnet_r18(150)
        >>> multiply_adds(network)["resize"] == 4 * 150 * 512 * 512
        True
    """
    counts = dict.fromkeys(_attributes(network), 0)
    logits = None
    for part, count, output in _shapes(network, size):
        counts[part] = count
        if part in ("decode head", "network"):
            logits = output
    if logits is not None:
        with _Counter() as counter:
            resize(logits, size)
        counts["resize"] = counter.count
    total = sum(count for part, count in counts.items() if part != "auxiliary head")
    return counts | {"total": total}


def strides(network: nn.Module, size: Sequence[int] = (512, 512)) -> dict[str, float]:
    """Image pixels along one side of a pixel of what each part gives.

    Where height and width differ, because the size is no multiple of the stride, it is their
    geometric mean. Nothing is computed, as in :func:`multiply_adds`.

    Args:
        network: images (1, 3, H, W) -> :class:`SegOutput`; stays as it is.
        size: (H, W).

    Returns:
        The backbone's last map, each head's logits, and ``total``, the network's logits; of
        SOLOv2 the neck's first level and, as the mask head's and in total, the mask features.

    Example:
        >>> from bpkd.networks import hrnet_w18s
        >>> with torch.device("meta"):
        ...     network = hrnet_w18s(19)
        >>> strides(network, (64, 96))
        {'backbone': 32.0, 'decode head': 4.0, 'total': 4.0}
    """
    rows = {
        part: sqrt(prod(size) / prod(maps.shape[-2:])) for part, _, maps in _shapes(network, size)
    }
    last = next(part for part in ("decode head", "mask head", "network") if part in rows)
    return rows | {"total": rows[last]}


def logits_of(network: nn.Module, output: Any) -> Tensor:
    """The logits in what a network gives, in whatever form another library gives them."""
    return read(output, type(network).__name__)[0]


def _shapes(network: nn.Module, size: Sequence[int]) -> Iterator[tuple[str, int, Tensor]]:
    """Each part with its multiply-adds and what it gives: the last map, logits. Shapes alone."""

    def run(module: nn.Module, inputs: Any) -> tuple[int, Any]:
        with _Counter() as counter, sdpa_kernel(SDPBackend.MATH):
            output = functional_call(module, _meta_tensors(module), (inputs,))
        return counter.count, output

    images = torch.empty(1, 3, *size, device="meta")
    with evaluating(network), torch.no_grad():
        if isinstance(network, SOLOv2):
            count, maps = run(network.backbone, padded(images))
            yield "backbone", count, maps[-1]
            count, levels = run(network.neck, maps)
            yield "neck", count, levels[0]
            count, output = run(network.mask_head, levels)
            yield "mask head", count, output[-1]
            return
        if not isinstance(network, SegNetwork):
            count, output = run(network, images)
            yield "network", count, logits_of(network, output)
            return
        count, maps = run(network.backbone, images)
        yield "backbone", count, maps[-1]
        for part, head in parts(network).items():
            if part != "backbone":
                count, output = run(head, maps)
                yield part, count, output[0]


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


def _deformed(args: tuple[Any, ...], output: Tensor) -> int:
    return int(output.numel() * prod(args[1].shape[1:]))


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
    torch.ops.torchvision.deform_conv2d: _deformed,
    aten.native_batch_norm: lambda args, output: 2 * args[0].numel(),
    aten.native_group_norm: lambda args, output: 2 * args[0].numel(),
    aten._adaptive_avg_pool2d: lambda args, output: args[0].numel(),
    aten.mean: _mean,
    aten.upsample_bilinear2d: lambda args, output: 4 * output.numel(),
}


def _meta_tensors(module: nn.Module) -> dict[str, Tensor]:
    """Shapes in the place of the module's parameters and buffers."""
    tensors = dict(module.named_parameters()) | dict(module.named_buffers())
    return {key: torch.empty_like(value, device="meta") for key, value in tensors.items()}


@contextmanager
def evaluating(network: nn.Module) -> Iterator[None]:
    """Evaluation mode inside, and each module's own mode again after."""
    modes = {module: module.training for module in network.modules()}
    network.eval()
    try:
        yield
    finally:
        for module, mode in modes.items():
            module.training = mode
