"""Other libraries' names for a backbone's tensors, and ImageNet weights under any of them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from torch import Tensor

from bpkd.errors import UserError
from bpkd.support.tensors import read_tensors

# What a classifier has on top of a backbone, in any of the three layouts.
_TOPS = {"classifier", "fc", "head", "head_dist", "neck"}
_TOPS |= {"incre_modules", "downsamp_modules", "final_layer"}
_BLOCK = re.compile(r"blocks\.(\d+)\.(\d+)\.(conv_pwl|conv_pw|conv_dw|bn\d)\.(.+)")


def openmmlab_names(keys: Iterable[str]) -> dict[str, str]:
    """timm's keys of a backbone -> OpenMMLab's keys of the same tensors.

    Knows ResNets (with a deep stem, OpenMMLab's V1c, or a plain one) and MobileNetV2; HRNets
    have the same keys in both.

    Example:
        >>> names = openmmlab_names(["conv1.6.weight", "bn1.bias", "layer1.0.conv1.weight"])
        >>> list(names.values())
        ['stem.6.weight', 'stem.7.bias', 'layer1.0.conv1.weight']
        >>> openmmlab_names(["conv_stem.weight", "blocks.1.0.conv_pw.weight"]).popitem()
        ('blocks.1.0.conv_pw.weight', 'layer2.0.conv.0.conv.weight')
    """
    keys = list(keys)
    if "conv_stem.weight" in keys:
        return {key: _openmmlab_mobilenet(key) for key in keys}
    if "conv1.6.weight" in keys:
        return {
            key: re.sub(r"^bn1\.", "stem.7.", re.sub(r"^conv1\.", "stem.", key)) for key in keys
        }
    return {key: key for key in keys}


def torchvision_names(keys: Iterable[str]) -> dict[str, str]:
    """timm's keys of a backbone -> torchvision's: MobileNetV2; ResNets have the same in both.

    Example:
        >>> keys = ["conv_stem.weight", "blocks.0.0.conv_dw.weight", "blocks.1.0.bn3.bias"]
        >>> list(torchvision_names(keys).values())
        ['features.0.0.weight', 'features.1.conv.0.0.weight', 'features.2.conv.3.bias']
    """
    keys = list(keys)
    if "conv_stem.weight" not in keys:
        return {key: key for key in keys}
    blocks = sorted({(int(m[1]), int(m[2])) for m in map(_BLOCK.match, keys) if m})
    place = {block: index for index, block in enumerate(blocks, 1)}
    ends = {
        "conv_stem": "features.0.0",
        "bn1": "features.0.1",
        "conv_head": f"features.{len(blocks) + 1}.0",
        "bn2": f"features.{len(blocks) + 1}.1",
    }
    return {key: _torchvision_mobilenet(key, place, ends) for key in keys}


def backbone_tensors(
    path: str | Path, wanted: Mapping[str, Tensor], what: str
) -> dict[str, Tensor]:
    """A file's weights of a backbone under timm's keys, from timm's, torchvision's or OpenMMLab's.

    A classifier's own weights may be there or not: a backbone has none.

    Args:
        path: safetensors, or a PyTorch file of tensors.
        wanted: the backbone's state dict, under timm's keys.
        what: the backbone's name, for the message.

    Raises:
        UserError: no such file, not a file of tensors, or the weights of another network.
    """
    found = {re.sub(r"^(module\.)?(backbone\.)?", "", k): v for k, v in read_tensors(path).items()}
    layouts = [{key: key for key in wanted}, openmmlab_names(wanted), torchvision_names(wanted)]
    names = max(layouts, key=lambda layout: sum(name in found for name in layout.values()))
    missing = [
        name
        for key, name in names.items()
        if not key.endswith("num_batches_tracked")
        and (name not in found or found[name].shape != wanted[key].shape)
    ]
    extra = set(found) - set(names.values())
    extra = {name for name in extra if name.split(".")[0] not in _TOPS}
    if missing or extra:
        raise UserError(
            f"{path}: not the weights of {what}: {len(missing)} of {len(wanted)} entries are "
            f"missing or of another shape, {len(extra)} are unknown, "
            f"e.g. {', '.join((missing + sorted(extra))[:3])}; "
            f"give a file of {what} in timm's, torchvision's or OpenMMLab's layout"
        )
    return {key: found[name] for key, name in names.items() if name in found}


def _parts(match: re.Match[str]) -> tuple[int, bool, int]:
    """Which convolution of its block, whether it is the normalisation, how many there are."""
    order = ["conv_dw", "conv_pw"] if match[1] == "0" else ["conv_pw", "conv_dw", "conv_pwl"]
    is_norm = match[3].startswith("bn")
    return int(match[3][2:]) - 1 if is_norm else order.index(match[3]), is_norm, len(order)


def _openmmlab_mobilenet(key: str) -> str:
    if match := _BLOCK.match(key):
        index, is_norm, _ = _parts(match)
        kind = "bn" if is_norm else "conv"
        return f"layer{int(match[1]) + 1}.{match[2]}.conv.{index}.{kind}.{match[4]}"
    ends = {"conv_stem": "conv1.conv", "bn1": "conv1.bn", "conv_head": "conv2.conv"}
    first, rest = key.split(".", 1)
    return f"{(ends | {'bn2': 'conv2.bn'}).get(first, first)}.{rest}"


def _torchvision_mobilenet(
    key: str, place: dict[tuple[int, int], int], ends: dict[str, str]
) -> str:
    if match := _BLOCK.match(key):
        index, is_norm, count = _parts(match)
        # The last convolution, which no activation follows, stands there without its own group.
        inner = f"{index}.{int(is_norm)}" if index < count - 1 else f"{index + is_norm}"
        return f"features.{place[int(match[1]), int(match[2])]}.conv.{inner}.{match[4]}"
    first, rest = key.split(".", 1)
    return f"{ends.get(first, first)}.{rest}"
