"""Backbones: timm's, and their weights from a file, from timm's hub, or none."""

from __future__ import annotations

from difflib import get_close_matches
from typing import Any

import timm
import torch
from torch import Tensor, nn

from bpkd.errors import UserError
from bpkd.networks.downloads import quiet_hub
from bpkd.networks.layouts import backbone_tensors
from bpkd.support.messages import one_line


class TimmBackbone(nn.Module):
    """Any of timm's networks as a pyramid of maps.

    Args:
        name: a name from ``timm.list_models()``.
        output_stride: 8, 16 or 32: image pixels a pixel of the last map.
        weights: a file of the backbone's weights in timm's, torchvision's or OpenMMLab's layout
            (safetensors, or a PyTorch file of tensors), ``hub`` for timm's own download, or None
            for random ones.
        options: further arguments of ``timm.create_model``.

    Attributes:
        channels: channels of each map, fine to coarse.
        reductions: stride of each map.
        mean, std: what the weights were trained with, for RGB in [0, 1].

    Raises:
        UserError: timm does not know the name, the backbone cannot have this output stride, or
            the file holds the weights of another network.
    """

    def __init__(
        self, name: str, output_stride: int = 32, weights: str | None = None, **options: Any
    ) -> None:
        super().__init__()
        if output_stride not in (8, 16, 32):
            raise UserError(f"output_stride is 8, 16 or 32, got {output_stride}")
        self.model = _create(name, output_stride, weights, options)
        info = self.model.feature_info
        self.channels: list[int] = info.channels()
        self.reductions: list[int] = info.reduction()
        config = self.model.default_cfg
        self.mean: tuple[float, ...] = tuple(config.get("mean", (0.485, 0.456, 0.406)))
        self.std: tuple[float, ...] = tuple(config.get("std", (0.229, 0.224, 0.225)))

    def forward(self, images: Tensor) -> list[Tensor]:
        """Normalised images (N, 3, H, W) -> maps (N, D, H / stride, W / stride), fine to coarse."""
        maps: list[Tensor] = self.model(images)
        # Swin and its kind keep channels last.
        if getattr(self.model, "output_fmt", "NCHW") == "NHWC":
            return [each.permute(0, 3, 1, 2) for each in maps]
        return maps


def _create(name: str, output_stride: int, weights: str | None, options: dict[str, Any]) -> Any:
    """timm's feature pyramid of that name, with weights loaded."""
    if not timm.is_model(name):
        near = ", ".join(get_close_matches(name, timm.list_models())) or "see timm.list_models()"
        raise UserError(f"timm knows no network {name!r}; did you mean one of: {near}?")
    source: dict[str, Any] = {}
    if weights == "hub":
        source = {"pretrained": True}
    elif weights is not None:
        with torch.device("meta"):
            wanted = timm.create_model(name, num_classes=0, **options).state_dict()
        tensors = backbone_tensors(weights, wanted, name)
        source = {"pretrained": True, "pretrained_cfg_overlay": {"state_dict": tensors}}
    # timm takes no output_stride for networks without dilation; at 32 most do not need one.
    stride: dict[str, Any] = {} if output_stride == 32 else {"output_stride": output_stride}
    try:
        with quiet_hub(
            "timm"
        ):  # timm warns of the classifier's weights, which a backbone leaves out
            model = timm.create_model(name, features_only=True, **options, **source, **stride)
    except OSError as error:
        reason = one_line(error).split(". ")[0]
        raise UserError(
            f"timm cannot download the weights of {name}: {reason}; give weights: FILE, or null "
            "for random ones"
        ) from error
    except (TypeError, NotImplementedError, AttributeError, AssertionError, RuntimeError) as error:
        raise UserError(
            f"timm's {name} cannot be a backbone at output stride {output_stride}: "
            f"{str(error) or 'it has no dilation'}; choose output stride 32 or another backbone"
        ) from error
    # What was loaded would stay in timm's description of the network, and in each copy of it.
    for module in model.modules():
        getattr(module, "pretrained_cfg", {}).pop("state_dict", None)
    return model
