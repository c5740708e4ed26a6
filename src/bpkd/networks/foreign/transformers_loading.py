"""Loading from transformers: configurations, networks, image processors, quietly."""

from __future__ import annotations

import importlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from torch import nn

from bpkd.errors import UserError
from bpkd.networks.downloads import quiet_hub
from bpkd.networks.foreign.normalisation import IMAGENET
from bpkd.support.messages import one_line, suggestion


def read_config(
    library: Any, model: str | None, config: dict[str, Any] | None, num_classes: int | None
) -> Any:
    """The configuration, for the classes that are asked for."""
    for key in config or {}:
        if key in ("trust_remote_code", "code_revision", "auto_map"):
            raise UserError(
                f"config.{key}: code that lies beside a model is not run; save the network's class "
                "in a module of your own, and name it with bpkd.networks.foreign.from_module"
            )
    changes = dict(config or {}) | ({} if num_classes is None else {"num_labels": num_classes})
    if model is not None:
        changes.pop("model_type", None)
        found = _loaded(model, library.AutoConfig.from_pretrained, **changes)
        _check_keys(found, changes)
        return found
    name = changes.pop("model_type", None)
    if name is None:
        raise UserError("from_transformers: expected model, or config with a model_type")
    if num_classes is not None and len(changes.get("id2label", ())) != num_classes:
        changes.pop("id2label", None)
        changes.pop("label2id", None)
    network_kind(library, name)  # for a message of its own
    try:
        _check_keys(library.AutoConfig.for_model(name), changes)
        return library.AutoConfig.for_model(name, **changes)
    except UserError:
        raise
    except Exception as error:  # its checks raise of many kinds, even of its own
        raise UserError(f"config: no configuration of transformers: {one_line(error)}") from error


def _check_keys(config: Any, changes: dict[str, Any]) -> None:
    """Refuse what the library would keep, or drop, without a word."""
    for key in changes:
        if not hasattr(config, key):
            known = [name for name in config.to_dict() if not name.startswith("_")]
            raise UserError(
                f"config.{key}: {config.model_type} has no such setting; {suggestion(key, known)}"
            )


def network_kind(library: Any, model_type: str) -> Any:
    """The class of network for a type of model."""
    mappings = {
        library.AutoModelForSemanticSegmentation: "MODEL_FOR_SEMANTIC_SEGMENTATION_MAPPING_NAMES",
        library.AutoModelForUniversalSegmentation: "MODEL_FOR_UNIVERSAL_SEGMENTATION_MAPPING_NAMES",
    }
    known = []
    for kind, mapping in mappings.items():
        names = getattr(library.models.auto.modeling_auto, mapping)
        known += [name for name in names if name not in ("detr", "videomt")]
        if model_type in known:
            return kind
    raise UserError(
        f"transformers has no semantic segmentation network of type {model_type!r}; "
        f"{suggestion(model_type, known)}"
    )


def load_network(kind: Any, model: str | None, config: Any) -> tuple[nn.Module, list[str]]:
    """The network, and the parameters of its classifier that are not trained."""
    if model is None:
        try:
            network = kind.from_config(config, dtype=torch.float32)
        except Exception as error:  # settings that do not go together fail in many ways
            reason = f"{type(error).__name__}: {one_line(error)}"
            raise UserError(
                f"config: no {config.model_type} can be built of it: {reason}"
            ) from error
        return network, _classifier(network, network.state_dict())
    network, report = _loaded(
        model,
        kind.from_pretrained,
        config=config,
        dtype=torch.float32,
        ignore_mismatched_sizes=True,
        output_loading_info=True,
    )
    lost = {key if isinstance(key, str) else key[0] for key in report["mismatched_keys"]}
    return network, sorted({*lost, *_classifier(network, report["missing_keys"])})


def _classifier(network: Any, keys: Iterable[str]) -> list[str]:
    """Which of a network's parameters are its classifier's, by their shapes."""
    own, classes = network.state_dict(), network.config.num_labels
    # One row a class, and one more where there is one for no object.
    rows = (classes, classes + 1)
    return [key for key in keys if key in own and own[key].dim() and own[key].shape[0] in rows]


def _loaded(model: str, load: Any, **arguments: Any) -> Any:
    """What transformers loads, quietly; its errors on one line."""
    logging: Any = importlib.import_module("transformers.utils.logging")
    level, has_bar = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity(logging.CRITICAL)
    logging.disable_progress_bar()
    try:
        with quiet_hub():
            return load(model, trust_remote_code=False, **arguments)
    except (OSError, ValueError, KeyError, TypeError, ImportError, RuntimeError) as error:
        reason = one_line(error).split(". ")[0]
        raise UserError(
            f"{model}: transformers cannot load it: {reason}; give a local folder, or the name of "
            "a model that is on the hub, and a connection the first time"
        ) from error
    finally:
        logging.set_verbosity(level)
        if has_bar:
            logging.enable_progress_bar()


def read_processing(library: Any, model: str | None) -> dict[str, Any]:
    """The normalisation of the model's image processor; ImageNet's where a folder has none."""
    if model is None or (
        Path(model).is_dir() and not (Path(model) / "preprocessor_config.json").is_file()
    ):
        return dict(IMAGENET)
    processor = _loaded(model, library.AutoImageProcessor.from_pretrained)
    is_normalised = getattr(processor, "do_normalize", True)
    return {
        "mean": processor.image_mean if is_normalised else (0, 0, 0),
        "std": processor.image_std if is_normalised else (1, 1, 1),
        "scale": round(255 * processor.rescale_factor, 6) if processor.do_rescale else 255.0,
        "rgb": not getattr(processor, "do_flip_channel_order", False),
    }
