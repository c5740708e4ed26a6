"""torchvision's segmentation networks."""

from __future__ import annotations

from typing import Any

import torchvision.models
import torchvision.models.segmentation
from torch import nn

from bpkd.errors import UserError
from bpkd.networks.foreign.normalisation import IMAGENET, Colour, normalisation
from bpkd.networks.foreign.wrapper import ForeignNetwork
from bpkd.support.messages import one_line, suggestion

_USE = "bpkd.networks.foreign.from_torchvision"


def from_torchvision(
    num_classes: int | None = None,
    model: str = "deeplabv3_resnet50",
    weights: str | None = None,
    weights_backbone: str | None = None,
    aux_loss: bool = False,
    *,
    features: dict[str, str] | None = None,
    mean: Colour | None = None,
    std: Colour | None = None,
    scale: float | None = None,
    rgb: bool | None = None,
) -> ForeignNetwork:
    """A network of ``torchvision.models.segmentation``; logits as they are before upsampling.

    Args:
        num_classes: C; None for the classes of the weights (21 without).
        model: its name in torchvision: ``deeplabv3_resnet50``, ``fcn_resnet101`` ...
        weights: the name of trained weights, e.g. ``DEFAULT``, which torchvision downloads; where
            they have other classes, the classifiers start anew. None for random ones.
        weights_backbone: the same, of the backbone alone.
        aux_loss: whether there is an auxiliary head.
        features: name -> module's path; defaults: ``backbone`` and ``head``, the classifier's map.
        mean: of the images, default ImageNet's.
        std: the same.
        scale: what images in [0, 1] are multiplied by first.
        rgb: False for a network that wants blue first.

    Raises:
        UserError: no such model or weights, or they cannot be downloaded.

    Example:
        >>> import torch
        >>> network = from_torchvision(5, "lraspp_mobilenet_v3_large").eval()
        >>> network(torch.zeros(1, 3, 64, 96)).logits.shape
        torch.Size([1, 5, 8, 12])
    """
    known = torchvision.models.list_models(torchvision.models.segmentation)
    if model not in known:
        raise UserError(f"torchvision knows no network {model!r}; {suggestion(model, known)}")
    chosen = _weights(model, weights)
    classes = list(chosen.meta["categories"]) if chosen else None
    num_classes = num_classes or (len(classes) if classes else 21)
    options: dict[str, Any] = {} if model.startswith("lraspp") else {"aux_loss": aux_loss}
    network, untrained = _loaded(
        model, chosen, weights_backbone=weights_backbone, num_classes=num_classes, **options
    )
    given = normalisation(IMAGENET, mean=mean, std=std, scale=scale, rgb=rgb)
    has_auxiliary = getattr(network, "aux_classifier", None) is not None
    foreign = ForeignNetwork(
        network,
        given,
        num_classes,
        f"torchvision's {model}",
        features,
        defaults={"backbone": "backbone"},
        logits="classifier",
        auxiliary="aux_classifier" if has_auxiliary else None,
    )
    foreign.untrained = untrained
    foreign.classes = classes if classes and len(classes) == num_classes else None
    foreign.rebuild = {
        "use": _USE,
        "model": model,
        **options,
        "features": features,
        **given.settings(),
    }
    return foreign


def _weights(model: str, name: str | None) -> Any:
    """torchvision's entry of the weights of that name; None for None."""
    if name is None:
        return None
    known = torchvision.models.get_model_weights(model)
    if name not in known.__members__:
        raise UserError(f"weights: {model} has no {name!r}; {suggestion(name, known.__members__)}")
    return known[name]


def _loaded(model: str, weights: Any, **options: Any) -> tuple[nn.Module, list[str]]:
    """The network, and the names of its parameters that the weights do not have."""
    try:
        network = torchvision.models.get_model(model, weights=None, **options)
        if not weights:
            return network, [key for key in network.state_dict() if key.startswith("classifier.")]
        return network, load_matching(network, weights.get_state_dict(check_hash=True))
    except KeyError as error:
        raise UserError(
            f"weights_backbone: torchvision has no {options['weights_backbone']!r} for {model}; "
            "expected DEFAULT, or the name of one, e.g. IMAGENET1K_V1"
        ) from error
    except (OSError, ValueError) as error:
        raise UserError(f"torchvision's {model} cannot be loaded: {one_line(error)}") from error


def load_matching(network: nn.Module, tensors: dict[str, Any]) -> list[str]:
    """Load the tensors that fit, and return the names of those that do not have any.

    Example:
        >>> load_matching(nn.Linear(2, 3), nn.Linear(2, 5).state_dict())
        ['weight', 'bias']
    """
    wanted = network.state_dict()
    fitting = {k: v for k, v in tensors.items() if k in wanted and v.shape == wanted[k].shape}
    network.load_state_dict(fitting, strict=False)
    return [key for key in wanted if key not in fitting]
