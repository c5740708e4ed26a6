"""The networks of segmentation-models-pytorch."""

from __future__ import annotations

import inspect
import warnings
from typing import Any

from bpkd.errors import UserError
from bpkd.networks.downloads import quiet_hub
from bpkd.networks.foreign.normalisation import IMAGENET, Colour, normalisation
from bpkd.networks.foreign.wrapper import ForeignNetwork
from bpkd.support.extras import extra
from bpkd.support.messages import one_line, suggestion

_USE = "bpkd.networks.foreign.from_smp"


def from_smp(
    num_classes: int | None = None,
    arch: str | None = None,
    encoder_name: str = "resnet34",
    encoder_weights: str | None = None,
    model: str | None = None,
    *,
    features: dict[str, str] | None = None,
    mean: Colour | None = None,
    std: Colour | None = None,
    scale: float | None = None,
    rgb: bool | None = None,
    **options: Any,
) -> ForeignNetwork:
    """A network of segmentation-models-pytorch: by its parts, or as it was saved.

    Images are padded to the encoder's stride; the logits are upsampled by the library.

    Args:
        num_classes: C; None for the classes of ``model``.
        arch: ``Unet``, ``FPN``, ``DeepLabV3Plus`` ... as ``smp.create_model`` names them.
        encoder_name: the library's name of the encoder; ``tu-NAME`` for timm's.
        encoder_weights: e.g. ``imagenet``, which the library downloads; None for random ones.
        model: a folder that ``save_pretrained`` wrote, or a name on the hub, instead of ``arch``;
            where it has other classes, its classifier starts anew.
        features: name -> module's path; defaults: ``backbone`` (the encoder's last map) and
            ``head``, the map that the classifier reads.
        mean: of the images; default the encoder weights' own, ImageNet's where it has none.
        std: the same.
        scale: what images in [0, 1] are multiplied by first.
        rgb: False for a network that wants blue first.
        options: further arguments of ``smp.create_model``, e.g. ``decoder_channels``.

    Raises:
        UserError: the library is not installed, does not know the network, or cannot download it.

    Example:
        >>> import torch
        >>> network = from_smp(5, "FPN", "tu-test_resnet").eval()
        >>> output = network(torch.zeros(1, 3, 64, 96))
        >>> output.logits.shape, output.features["head"].shape
        (torch.Size([1, 5, 64, 96]), torch.Size([1, 128, 16, 24]))
    """
    smp = extra("segmentation_models_pytorch", _USE, "smp")
    if model is not None:
        if arch is not None:
            raise UserError("from_smp: expected arch or model, got both")
        built, arguments, untrained = _saved(smp, model, num_classes)
    else:
        arguments = {"arch": arch, "encoder_name": encoder_name, **options}
        arguments["classes"] = 1 if num_classes is None else num_classes
        built = _created(smp, arguments, encoder_weights)
        untrained = _classifier(built)
    encoder = str(arguments.get("encoder_name", encoder_name))
    weights = arguments.get("encoder_weights", encoder_weights)
    given = normalisation(
        _preprocessing(smp, encoder, weights), mean=mean, std=std, scale=scale, rgb=rgb
    )
    foreign = ForeignNetwork(
        built,
        given,
        int(arguments.pop("classes")),
        f"smp's {built.name}" if model is None else model,
        features,
        defaults={"backbone": "encoder"},
        multiple=int(built.encoder.output_stride),
    )
    foreign.untrained = untrained
    arguments.pop("encoder_weights", None)
    foreign.rebuild = {"use": _USE, **arguments, "features": features, **given.settings()}
    return foreign


def _created(smp: Any, arguments: dict[str, Any], weights: str | None) -> Any:
    if arguments["arch"] is None:
        raise UserError("from_smp: expected arch, e.g. Unet, or model")
    arch, known = arguments["arch"], smp.MODEL_ARCHITECTURES_MAPPING
    if str(arch).lower() not in known:
        names = [each.__name__ for each in known.values()]
        raise UserError(f"smp knows no arch {arch!r}; {suggestion(str(arch), names)}")
    _check_options(smp, arguments)
    try:
        with quiet_hub():
            return smp.create_model(encoder_weights=weights, **arguments)
    except (OSError, TypeError, ValueError, KeyError, RuntimeError) as error:
        raise UserError(
            f"smp's {arch} on {arguments['encoder_name']} cannot be built: {one_line(error)}"
        ) from error


def _check_options(smp: Any, arguments: dict[str, Any]) -> None:
    """Refuse what the library would take for a name of its own, or pass over in silence."""
    name, encoders = str(arguments["encoder_name"]), smp.encoders.get_encoder_names()
    if name.startswith("tu-"):
        return  # timm's own arguments
    if name not in encoders:
        raise UserError(f"encoder_name: smp has no encoder {name!r}; {suggestion(name, encoders)}")
    network = smp.MODEL_ARCHITECTURES_MAPPING[str(arguments["arch"]).lower()]
    known = [*inspect.signature(network).parameters, "arch"]
    for key in arguments:
        if key not in known:
            raise UserError(
                f"{key}: {network.__name__} has no such argument; {suggestion(key, known)}"
            )


def _classifier(network: Any) -> list[str]:
    return [key for key in network.state_dict() if key.startswith("segmentation_head.")]


def _saved(smp: Any, model: str, num_classes: int | None) -> tuple[Any, dict[str, Any], list[str]]:
    """A network as it was saved, the arguments that build it, its untrained parameters."""
    try:
        with quiet_hub():
            built = smp.from_pretrained(model)
        own = dict(built.config)
        classes = own["classes"]
        if num_classes not in (None, classes):
            with warnings.catch_warnings(), quiet_hub():
                warnings.simplefilter("ignore")  # of the new classifier: that is what was asked
                built = smp.from_pretrained(model, classes=num_classes, strict=False)
    except (OSError, TypeError, ValueError, KeyError, RuntimeError) as error:
        raise UserError(
            f"{model}: smp cannot load it: {one_line(error)}; give a folder that save_pretrained "
            "wrote, or a name on the hub"
        ) from error
    arguments = {k: v for k, v in own.items() if not k.startswith("_")}
    arguments |= {"arch": type(built).__name__, "classes": num_classes or classes}
    return built, arguments, _classifier(built) if num_classes not in (None, classes) else []


def _preprocessing(smp: Any, encoder: str, weights: str | None) -> dict[str, Any]:
    """What the encoder's weights were trained with; ImageNet's for random ones."""
    # For timm's encoders the library knows without weights; for its own it asks the hub.
    if weights is None and not encoder.startswith("tu-"):
        return dict(IMAGENET)
    try:
        found = smp.encoders.get_preprocessing_params(encoder, weights or "imagenet")
    except (OSError, ValueError, KeyError):
        return dict(IMAGENET)
    settings: dict[str, Any] = {k: found[k] for k in ("mean", "std") if found.get(k) is not None}
    top = (found.get("input_range") or (0, 1))[1]
    return (
        {"mean": (0, 0, 0), "std": (1, 1, 1)}
        | settings
        | {
            "scale": float(top),
            "rgb": found.get("input_space", "RGB") == "RGB",
        }
    )
