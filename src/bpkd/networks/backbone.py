"""Backbones: timm's, and their weights from a file, from timm's hub, or none."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches
from typing import Any

import timm
import torch
from torch import Tensor, nn

from bpkd.errors import UserError
from bpkd.networks.downloads import quiet_hub
from bpkd.networks.layouts import backbone_tensors
from bpkd.networks.probe import ODD, NotTaken, cut, multiple_of, padded, refusal
from bpkd.support.messages import one_line

#: What timm's networks of a fixed size take so that they take any: the first that helps is used.
_ANY_SIZE: tuple[dict[str, Any], ...] = (
    {},
    {"dynamic_img_size": True},
    {"strict_img_size": False},
)
#: Some that work at every output stride, for messages.
_WORKING = (
    "resnet18d",
    "resnet50d",
    "mobilenetv3_small_100",
    "mobilenetv4_conv_small",
    "mobilevit_xxs",
    "efficientnet_b0",
    "convnext_atto",
    "regnety_002",
    "repvgg_a0",
    "rexnet_100",
)


class TimmBackbone(nn.Module):
    """Any of timm's networks as a pyramid of maps.

    Where an architecture wants sides that are multiples of a number, images are padded at the
    bottom and at the right by the mean colour, and the maps cut again.

    Args:
        name: a name from ``timm.list_models()``.
        output_stride: 8, 16 or 32: image pixels a pixel of the last map. 32 is as well for
            networks that have a stride of their own and no dilation.
        weights: a file of the backbone's weights in timm's, torchvision's or OpenMMLab's layout
            (safetensors, or a PyTorch file of tensors), ``hub`` for timm's own download, or None
            for random ones.
        img_size: (H, W) for architectures that are built for one size; others take any.
        options: further arguments of ``timm.create_model``.

    Attributes:
        channels: channels of each map, fine to coarse.
        reductions: stride of each map.
        mean, std: what the weights were trained with, for RGB in [0, 1].
        multiple: of which sides have to be multiples.
        size: (H, W), the only one that it takes, or None.

    Raises:
        UserError: timm does not know the name, the backbone cannot have this output stride, or
            takes no images of such sizes, or the file holds the weights of another network.
    """

    def __init__(
        self,
        name: str,
        output_stride: int = 32,
        weights: str | None = None,
        img_size: Sequence[int] | None = None,
        **options: Any,
    ) -> None:
        super().__init__()
        if output_stride not in (8, 16, 32):
            raise UserError(f"output_stride is 8, 16 or 32, got {output_stride}")
        self.name = name
        self.multiple = 1
        self.size: tuple[int, int] | None = None
        self._build(output_stride, weights, img_size, options)
        info = self.model.feature_info
        self.channels: list[int] = info.channels()
        self.reductions: list[int] = info.reduction()
        config = self.model.default_cfg
        self.mean: tuple[float, ...] = tuple(config.get("mean", (0.485, 0.456, 0.406)))
        self.std: tuple[float, ...] = tuple(config.get("std", (0.229, 0.224, 0.225)))

    def _build(
        self,
        output_stride: int,
        weights: str | None,
        img_size: Sequence[int] | None,
        options: dict[str, Any],
    ) -> None:
        """Make the network so that it takes images of any size, or at least of the one given."""
        tries = [*_ANY_SIZE]
        if img_size is not None:
            tries += [{"img_size": tuple(img_size)}]
        reason = ""
        for extra in tries:
            try:
                self.model = _create(self.name, output_stride, weights, {**options, **extra})
            except _UnknownArgument:
                if not extra:
                    raise
                continue
            stride = max(self.model.feature_info.reduction())
            fixed = "img_size" in extra
            if fixed:
                reason = refusal(self.model, extra["img_size"])
                if not reason:
                    self.size = extra["img_size"]
                    return
                continue
            found = multiple_of(
                lambda size: refusal(self.model, size), [stride * k for k in (1, 2, 7, 8)]
            )
            if found is not None:
                self.multiple = found
                return
            reason = refusal(self.model, ODD)
        own = self.model.default_cfg.get("input_size", (3, 0, 0))[1:]
        advice = (
            f"it takes images of one size: set img_size, e.g. [{own[0]}, {own[1]}], and the crop "
            "to the same"
            if img_size is None
            else f"img_size {list(img_size)} does not help; try {list(own)}"
        )
        raise UserError(
            f"timm's {self.name} takes no images of any size as a backbone ({reason[:120]}); "
            f"{advice}, or choose another backbone, e.g. {_near(self.name)}"
        )

    def forward(self, images: Tensor) -> list[Tensor]:
        """Normalised images (N, 3, H, W) -> maps (N, D, H / stride, W / stride), fine to coarse."""
        size = images.shape[-2:]
        if self.size is not None:
            images = self._to_size(images)
        elif self.multiple > 1:
            images = padded(images, self.multiple)  # 0 is the mean colour
        maps: list[Tensor] = self.model(images)
        # Swin and its kind keep channels last.
        if getattr(self.model, "output_fmt", "NCHW") == "NHWC":
            maps = [each.permute(0, 3, 1, 2) for each in maps]
        whole = images.shape[-2:]
        return [cut(each, size, whole) for each in maps]

    def _to_size(self, images: Tensor) -> Tensor:
        assert self.size is not None
        bottom, right = (s - n for s, n in zip(self.size, images.shape[-2:], strict=True))
        if min(bottom, right) < 0:
            h, w = self.size
            raise NotTaken(
                f"timm's {self.name} is built for images of {h} x {w}, got "
                f"{images.shape[-2]} x {images.shape[-1]}; measure by windows: "
                f"evaluation.mode=slide evaluation.window=[{h},{w}] "
                f"evaluation.stride=[{max(h * 2 // 3, 1)},{max(w * 2 // 3, 1)}]"
            )
        return nn.functional.pad(images, (0, right, 0, bottom)) if bottom or right else images


class _UnknownArgument(UserError):
    """timm's network has no such argument."""


def _near(name: str) -> str:
    """A backbone of a similar name that works.

    Example:
        >>> _near("mobilenetv3_rw"), _near("cait_xxs24_224")
        ('mobilenetv3_small_100', 'resnet18d')
    """
    return next(iter(get_close_matches(name, _WORKING, n=1, cutoff=0.5)), "resnet18d")


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
        # timm warns of the classifier's weights, which a backbone leaves out
        with quiet_hub("timm"):
            model = timm.create_model(name, features_only=True, **options, **source, **stride)
    except OSError as error:
        reason = one_line(error).split(". ")[0]
        raise UserError(
            f"timm cannot download the weights of {name}: {reason}; give weights: FILE, or null "
            "for random ones"
        ) from error
    except (TypeError, NotImplementedError, AttributeError, AssertionError, RuntimeError) as error:
        if any(key in str(error) for key in options) or (options and not stride):
            raise _UnknownArgument(f"timm's {name}: {one_line(error)}") from error
        if not stride:
            raise UserError(
                f"timm's {name} cannot be a backbone: {one_line(error)}; choose another, e.g. "
                f"{_near(name)}"
            ) from error
        return _undilated(name, output_stride, {**options, **source}, error)
    # What was loaded would stay in timm's description of the network, and in each copy of it.
    for module in model.modules():
        getattr(module, "pretrained_cfg", {}).pop("state_dict", None)
    return model


def _undilated(name: str, output_stride: int, options: dict[str, Any], error: Exception) -> Any:
    """A network without dilation, where its own stride is what is asked for.

    Raises:
        UserError: it is another.
    """
    try:
        with quiet_hub("timm"):
            model = timm.create_model(name, features_only=True, **options)
        own = max(model.feature_info.reduction())  # type: ignore[operator, union-attr]
    except Exception:  # then it is no backbone at any stride
        model, own = None, 0
    if own == output_stride:
        return model
    other = "output stride 32, which leaves it so, or " if own else ""
    raise UserError(
        f"timm's {name} cannot be a backbone at output stride {output_stride}: it has no dilation"
        f"{f', its own stride is {own}' if own else ''}; choose {other}another backbone, "
        f"e.g. {_near(name)}"
    ) from error
