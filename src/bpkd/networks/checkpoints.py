"""Trained networks from OpenMMLab, and back: the same tensors, other names.

Those of MMSegmentation, and SOLOv2 of MMDetection.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from bpkd.errors import UserError
from bpkd.networks.base import SegNetwork
from bpkd.networks.layouts import openmmlab_names
from bpkd.networks.solov2 import SOLOv2
from bpkd.support.tensors import key_mismatch, load_into, read_tensors

#: The last layer of a network of OpenMMLab's of each kind, by which it is found.
CLASSIFIERS: dict[type[SegNetwork | SOLOv2], str] = {
    SegNetwork: "decode_head.conv_seg.weight",
    SOLOv2: "mask_head.conv_cls.weight",
}


def load_openmmlab(
    network: SegNetwork | SOLOv2,
    checkpoint: str | Path | Mapping[str, Any],
    prefix: str | None = None,
    where: str = "the state dict",
) -> None:
    """Load a network of OpenMMLab's into the network of the same architecture here.

    Every tensor is accounted for: none may be missing, unknown or of another shape. One thing may
    be left over: the checkpoint's auxiliary head, where the network was built without.

    Args:
        network: one of the paper's, or another on a ResNet of OpenMMLab's kind.
        checkpoint: a file (.pth or .safetensors; read as tensors, no program in it is run) or a
            state dict, also under the key ``state_dict``.
        prefix: what stands before the network's keys, e.g. ``student.``, where a checkpoint holds
            several networks. None finds it, and takes the one that is no teacher.
        where: what messages call a state dict.

    Raises:
        UserError: the file cannot be read, the network is not in it, or is another: says how many
            keys, and which.

    Example:
        >>> from bpkd.networks import hrnet_w18s
        >>> first, second = hrnet_w18s(3), hrnet_w18s(3)
        >>> load_openmmlab(second, {"state_dict": to_openmmlab(first)})
        >>> all((a == b).all() for a, b in zip(first.parameters(), second.parameters()))
        True
    """
    if isinstance(checkpoint, str | Path):
        where, content = str(checkpoint), read_tensors(checkpoint)
    else:
        content = dict(checkpoint.get("state_dict", checkpoint))
    load_into(network, from_openmmlab(network, content, where, prefix), where)


def from_openmmlab(
    network: SegNetwork | SOLOv2,
    content: Mapping[str, Tensor],
    where: str,
    prefix: str | None = None,
) -> dict[str, Tensor]:
    """OpenMMLab's tensors by the names that they have in a network of ours.

    Raises:
        UserError: as :func:`load_openmmlab`.
    """
    start = _find_prefix(content, where, classifier(network)) if prefix is None else prefix
    found = {key[len(start) :]: value for key, value in content.items() if key.startswith(start)}
    auxiliary = isinstance(network, SegNetwork) and network.auxiliary_head is not None
    if not auxiliary:
        found = {k: v for k, v in found.items() if not k.startswith("auxiliary_head.")}
    names = openmmlab_keys(network)
    wanted = {names[key]: value for key, value in network.state_dict().items()}
    if problem := key_mismatch(wanted, found):
        hint = "build the network that it was saved from, with the same num_classes"
        if auxiliary and not any(key.startswith("auxiliary_head.") for key in found):
            hint += "; it has no auxiliary head, so auxiliary=False"
        raise UserError(f"{where}: a checkpoint of another network: {problem}; {hint}")
    return {key: found[name] for key, name in names.items() if name in found}


def to_openmmlab(network: SegNetwork | SOLOv2) -> dict[str, Tensor]:
    """The network's tensors under OpenMMLab's names: a copy, on the CPU.

    ``torch.save({"state_dict": to_openmmlab(network)}, path)`` writes a checkpoint that
    MMSegmentation, or MMDetection, loads into the network of the same architecture.

    Example:
        >>> from bpkd.networks import pspnet_r18
        >>> tensors = to_openmmlab(pspnet_r18(19))
        >>> len(tensors), tensors["decode_head.psp_modules.3.1.conv.weight"].shape
        (172, torch.Size([128, 512, 1, 1]))
    """
    names = openmmlab_keys(network)
    return {names[k]: v.detach().cpu().clone() for k, v in network.state_dict().items()}


def openmmlab_keys(network: SegNetwork | SOLOv2) -> dict[str, str]:
    """Each key of the network's state dict -> OpenMMLab's key of the same tensor."""
    keys = list(network.state_dict())
    # timm's networks stand one level deeper here than OpenMMLab's; HRNet is our own.
    inner = {re.sub(r"^backbone\.(model\.)?", "", k): k for k in keys if k.startswith("backbone.")}
    backbone = openmmlab_names(inner)
    names = {key: f"backbone.{backbone[short]}" for short, key in inner.items()}
    for key in keys:
        if key not in names:
            name = key.replace("_head.classifier.", "_head.")
            # Their pooling is a layer before each convolution, and takes number 0.
            name = re.sub(r"(psp_modules\.\d+|image_pool)\.", r"\1.1.", name)
            names[key] = name
    return names


def classifier(network: SegNetwork | SOLOv2) -> str:
    """The key of its last layer that a checkpoint of OpenMMLab's has."""
    return next(key for kind, key in CLASSIFIERS.items() if isinstance(network, kind))


def _find_prefix(content: Mapping[str, Any], where: str, key: str) -> str:
    """What stands before a segmentation network's own keys, e.g. ``module.``."""
    prefixes = [each.removesuffix(key) for each in content if each.endswith(key)]
    if not prefixes:
        example = ", ".join(list(content)[:3])
        raise UserError(
            f"{where}: holds no segmentation network of OpenMMLab's: no {key} among its "
            f"{len(content)} keys (e.g. {example})"
        )
    students = [prefix for prefix in prefixes if "teacher" not in prefix]
    if len(students) == 1:
        return students[0]
    if len(prefixes) == 1:
        return prefixes[0]
    raise UserError(
        f"{where}: holds several networks, under {', '.join(map(repr, prefixes))}; "
        "name one of them as prefix"
    )
