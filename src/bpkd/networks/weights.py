"""A network's weights from a file: our own, OpenMMLab's, or those of the library it is from."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor, nn

from bpkd.networks.base import SegNetwork
from bpkd.networks.checkpoints import classifier, load_openmmlab
from bpkd.networks.foreign.wrapper import ForeignNetwork
from bpkd.networks.solov2 import SOLOv2
from bpkd.support.tensors import load_into, read_tensors

_OURS = "network."


def load_weights(network: nn.Module, path: str | Path) -> None:
    """Load a file's tensors into a network, every key accounted for.

    One of ours takes a checkpoint of OpenMMLab's as well. One of another library takes what that
    library saved, also with a prefix before its keys (``model.``, as Lightning writes it); what
    has no such prefix then belongs to something else, as a loss.

    Args:
        network: any.
        path: safetensors, or a PyTorch file of tensors, also under ``state_dict``.

    Raises:
        UserError: the file cannot be read, or holds another network.
    """
    tensors = read_tensors(path)
    if isinstance(network, SegNetwork | SOLOv2) and _is_openmmlab(network, tensors):
        load_openmmlab(network, path)
    elif isinstance(network, ForeignNetwork) and not all(k.startswith(_OURS) for k in tensors):
        prefix = _prefix(network.network.state_dict(), tensors)
        own = {k[len(prefix) :]: v for k, v in tensors.items() if k.startswith(prefix)}
        load_into(network.network, own, path)
    else:
        load_into(network, tensors, path)


def _is_openmmlab(network: SegNetwork | SOLOv2, tensors: Mapping[str, Tensor]) -> bool:
    """Whether the names are OpenMMLab's; only a backbone of timm's has another name in SOLOv2."""
    last = classifier(network)
    ours = any(key.startswith("backbone.model.") for key in tensors)
    return not ours and any(key.endswith(last) for key in tensors)


def _prefix(wanted: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> str:
    """What stands before all of a network's keys in a file; nothing where they are not there.

    Example:
        >>> import torch
        >>> _prefix({"weight": torch.zeros(1)}, {"model.weight": torch.ones(1)})
        'model.'
    """
    first = next(iter(wanted), "")
    prefixes = [key.removesuffix(first) for key in found if key.endswith(first)]
    return next((p for p in prefixes if all(f"{p}{key}" in found for key in wanted)), "")
