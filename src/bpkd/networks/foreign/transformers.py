"""The semantic segmentation networks of transformers."""

from __future__ import annotations

import json
from functools import partial
from typing import Any, Literal

import torch
from torch import nn

from bpkd.errors import UserError
from bpkd.networks.foreign.normalisation import Colour, normalisation
from bpkd.networks.foreign.queries import QueryNetwork, WindowedQueryNetwork, task_tokens
from bpkd.networks.foreign.transformers_loading import (
    load_network,
    network_kind,
    read_config,
    read_processing,
)
from bpkd.networks.foreign.wrapper import ForeignNetwork
from bpkd.support.extras import extra

# Sides are to be multiples of so many patches: the last pixels would be lost, and DPT, which halves
# its grid and doubles it again, would stretch its map.
_PATCHES = {"beit": 1, "data2vec-vision": 1, "dpt": 2}

# Types that take images of one size alone.
_ONE_SIZE = ("eomt", "eomt_dinov3")

_USE = "bpkd.networks.foreign.from_transformers"


def from_transformers(
    num_classes: int | None = None,
    model: str | None = None,
    config: dict[str, Any] | None = None,
    *,
    task_inputs: list[int] | None = None,
    fit: Literal["windows", "resize"] = "windows",
    features: dict[str, str] | None = None,
    mean: Colour | None = None,
    std: Colour | None = None,
    scale: float | None = None,
    rgb: bool | None = None,
) -> ForeignNetwork:
    """Any network that transformers has for semantic segmentation.

    SegFormer, UperNet, DPT, BEiT, MobileViT ...; and Mask2Former, OneFormer, MaskFormer and EoMT
    through :func:`bpkd.networks.foreign.queries.semantic_logits`. Logits are as the library gives
    them, UperNet's as they are before upsampling.

    Args:
        num_classes: C; None for the classes of ``model`` or ``config``.
        model: a name on the hub or a local folder. Where it has other classes, its classifier
            starts anew.
        config: without ``model``, the whole configuration (``model_type: segformer`` ...), for
            random weights and no download; with it, what to change in the model's own.
        fit: how EoMT, which takes one size, sees others: in windows of its size, as its own
            processor cuts them, or resized to it.
        task_inputs: OneFormer's task as tokens; default: the tokenizer's of ``model``.
        features: name -> module's path; defaults: ``backbone``, its last map, and ``head``, the
            map that the classifier reads (the masks' map, where queries give the classes).
        mean: of the images; default the image processor's of ``model``, else ImageNet's.
        std: the same.
        scale: what images in [0, 1] are multiplied by first.
        rgb: False for a network that wants blue first.

    Raises:
        UserError: transformers is not installed, cannot download the model, or has no semantic
            segmentation network of this type.

    Example:
        >>> import torch
        >>> tiny = {"model_type": "segformer", "depths": [1] * 4, "hidden_sizes": [8] * 4,
        ...     "num_attention_heads": [1] * 4, "decoder_hidden_size": 16}
        >>> network = from_transformers(5, config=tiny).eval()
        >>> network(torch.zeros(1, 3, 64, 96)).logits.shape
        torch.Size([1, 5, 16, 24])
    """
    library = extra("transformers", _USE, "transformers")
    described = read_config(library, model, config, num_classes)
    kind = network_kind(library, described.model_type)
    network, untrained = load_network(kind, model, described)
    defaults = read_processing(library, model)
    given = normalisation(defaults, mean=mean, std=std, scale=scale, rgb=rgb)
    is_query = hasattr(network, "class_predictor") or hasattr(network.config, "task_seq_len")
    patches = _PATCHES.get(described.model_type)
    is_fixed = described.model_type in _ONE_SIZE
    if fit != "windows" and not is_fixed:
        raise UserError(f"fit: {described.model_type} takes images of any size; take it out")
    wrapper = WindowedQueryNetwork if is_fixed else QueryNetwork if is_query else _Maps
    foreign = wrapper(
        network,
        given,
        described.num_labels,
        model or f"transformers' {described.model_type}",
        features,
        defaults=_places(network),
        logits="decode_head" if described.model_type == "upernet" else None,
        auxiliary="auxiliary_head" if getattr(network, "auxiliary_head", None) else None,
        multiple=patches * int(described.patch_size) if patches else 1,
    )
    if isinstance(foreign, WindowedQueryNetwork):
        foreign.side, foreign.whole = int(described.image_size), fit == "resize"
    if isinstance(foreign, QueryNetwork) and hasattr(described, "task_seq_len"):
        task_inputs = task_inputs or task_tokens(library, model, described.task_seq_len)
        foreign.set_task(task_inputs)
    foreign.untrained, foreign.classes = untrained, _names(described)
    foreign.rebuild = {
        "use": _USE,
        "config": _plain(described),
        "task_inputs": task_inputs,
        "fit": fit,
        "features": features,
        **given.settings(),
    }
    return foreign


class _Maps(ForeignNetwork):
    def run(self, images: torch.Tensor) -> Any:
        network: Any = self.network
        if network.config.model_type != "dpt":
            return network(images)
        # The library takes DPT's grid of patches for a square, unless its neck is told.
        patch = network.config.patch_size
        grid = {"patch_height": images.shape[-2] // patch, "patch_width": images.shape[-1] // patch}
        handle = network.neck.register_forward_pre_hook(partial(_with_grid, grid), with_kwargs=True)
        try:
            return network(images)
        finally:
            handle.remove()


def _with_grid(grid: dict[str, int], module: nn.Module, args: Any, kwargs: Any) -> Any:
    return args, {**kwargs, **grid}


def _places(network: Any) -> dict[str, str]:
    """Where the library has its maps."""
    names = dict(network.named_modules())
    if "model.pixel_level_module" in names:
        level = "model.pixel_level_module"
        return {"backbone": f"{level}.encoder", "head": level}
    if "upscale_block" in names and "mask_head" in names:  # EoMT
        return {"backbone": "upscale_block:input", "head": "upscale_block"}
    for name in ("backbone", network.base_model_prefix):
        if name and name in names:
            return {"backbone": name}
    return {}


def _names(config: Any) -> list[str] | None:
    """The model's own names of its classes, where it has any."""
    names = [str(config.id2label.get(index, "")) for index in range(config.num_labels)]
    is_placeholder = all(name in ("", f"LABEL_{i}") for i, name in enumerate(names))
    return None if is_placeholder else names


def _plain(config: Any) -> dict[str, Any]:
    """A configuration as a recipe holds it."""
    plain: dict[str, Any] = json.loads(config.to_json_string(use_diff=True))
    for key in ("dtype", "architectures", "transformers_version", "_name_or_path"):
        plain.pop(key, None)
    return plain
