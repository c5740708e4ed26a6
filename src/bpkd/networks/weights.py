"""A network's weights from a file: our own, OpenMMLab's, or those of the library it is from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from bpkd.errors import UserError
from bpkd.networks.base import SegNetwork
from bpkd.networks.checkpoints import classifier, from_openmmlab
from bpkd.networks.fake_quantization import without_ranges
from bpkd.networks.foreign.wrapper import ForeignNetwork
from bpkd.networks.solov2 import SOLOv2
from bpkd.support.addresses import without_secrets
from bpkd.support.holding import said_classes
from bpkd.support.tensors import load_into, read_checkpoint, tensors_of

#: What a network of its own may be called in a file that holds a teacher as well.
_NOT_OURS = ("teacher", "ema", "losses", "criterion")


def load_weights(network: nn.Module, path: str | Path, key: str | None = None) -> list[str] | None:
    """Load a file's tensors into a network, every key accounted for.

    One of ours takes a checkpoint of OpenMMLab's as well; one of another library what that
    library saved. Before all keys may stand the same (``module.``, ``model.``, ``student.``): what
    does not begin so then belongs to something else, as a loss.

    Args:
        network: any.
        path: safetensors, or a PyTorch file of tensors, see
            :func:`bpkd.support.tensors.read_tensors`.
        key: which of several state dicts in the file.

    Returns:
        The names of the classes that the file says that its network has, or None.

    Raises:
        UserError: the file cannot be read, or holds another network.
    """
    content = read_checkpoint(path)
    path = without_secrets(str(path))
    classes = said_classes(content)
    tensors = without_ranges(tensors_of(content, path, key), network)
    target: nn.Module
    if isinstance(network, SegNetwork | SOLOv2) and _is_openmmlab(network, tensors):
        target, own = network, from_openmmlab(network, tensors, path)
    else:
        target, own = _matched(network, tensors, path)
    hint = _hint(target, own)
    load_into(target, own, path, hint)
    return classes


def _is_openmmlab(network: SegNetwork | SOLOv2, tensors: Mapping[str, Tensor]) -> bool:
    """Whether the names are OpenMMLab's; only a backbone of timm's has another name in SOLOv2."""
    last = classifier(network)
    ours = any(key.startswith("backbone.model.") for key in tensors)
    return not ours and any(key.endswith(last) for key in tensors)


def _matched(
    network: nn.Module, tensors: dict[str, Tensor], path: str | Path
) -> tuple[nn.Module, dict[str, Tensor]]:
    """The network, or the foreign one inside, and the tensors by its own names."""
    targets = [network]
    if isinstance(network, ForeignNetwork):
        targets.append(network.network)
    for target in targets:
        found = _prefixes(target.state_dict(), tensors)
        ours = [p for p in found if not any(word in p.split(".") for word in _NOT_OURS)] or found
        if len(ours) > 1 and "" not in ours:
            raise UserError(
                f"{path}: holds several of these networks, under {', '.join(map(repr, ours))}; "
                "save the one that is meant alone"
            )
        if ours:
            prefix = "" if "" in ours else ours[0]
            return target, {k[len(prefix) :]: v for k, v in tensors.items() if k.startswith(prefix)}
    prefix = _common(tensors, targets[-1].state_dict())
    return targets[-1], {k[len(prefix) :]: v for k, v in tensors.items() if k.startswith(prefix)}


def _prefixes(wanted: Mapping[str, Any], found: Mapping[str, Any]) -> list[str]:
    """What may stand before all of a network's keys in a file; nothing where they are not there.

    Example:
        >>> _prefixes({"weight": 0}, {"model.weight": 0, "module.ema.weight": 0, "x": 0})
        ['model.', 'module.ema.']
        >>> _prefixes({"weight": 0, "bias": 0}, {"model.weight": 0})
        []
    """
    keys = [key for key in wanted if not key.endswith("num_batches_tracked")]
    first = keys[0] if keys else ""
    starts = [key.removesuffix(first) for key in found if key.endswith(first)]
    starts = [start for start in starts if not start or start.endswith(".")]
    return [start for start in starts if all(f"{start}{key}" in found for key in keys)]


def _common(found: Iterable[str], wanted: Iterable[str]) -> str:
    """A wrapper's name before all keys, where the network's own do not begin so: for messages.

    Example:
        >>> _common(["module.a.w", "module.b.w"], ["a.w", "c.w"])
        'module.'
    """
    heads, own = ({key.partition(".")[0] for key in keys} for keys in (found, wanted))
    return f"{heads.pop()}." if len(heads) == 1 and not heads <= own else ""


def _hint(network: nn.Module, found: Mapping[str, Tensor]) -> str:
    """Which setting would make the network the one that the file is of; empty where none is."""
    wanted = network.state_dict()
    missing = {k.partition(".")[0] for k in wanted if k not in found}
    extra = {key.partition(".")[0] for key in found if key not in wanted}
    settings = {"aux_classifier": "aux_loss", "auxiliary_head": "auxiliary"}
    for head, setting in settings.items():
        if extra == {head} and not missing:
            return f"the file has an auxiliary head: set {setting}: true"
        if missing == {head} and not extra:
            return f"the file has no auxiliary head: set {setting}: false"
    return ""
