"""Your own module, or any package's."""

from __future__ import annotations

from typing import Any

from torch import nn

from bpkd.errors import UserError
from bpkd.networks.foreign.normalisation import IMAGENET, Colour, normalisation
from bpkd.networks.foreign.wrapper import ForeignNetwork
from bpkd.recipe.components import Component
from bpkd.recipe.dotted import resolve
from bpkd.recipe.kinds import require_module
from bpkd.support.messages import one_line, raised


def from_module(
    num_classes: int | None = None,
    module: str = "",
    args: dict[str, Any] | None = None,
    *,
    features: dict[str, str] | None = None,
    auxiliary: str | None = None,
    multiple: int = 1,
    mean: Colour | None = None,
    std: Colour | None = None,
    scale: float | None = None,
    rgb: bool | None = None,
    gives: str | None = None,
) -> ForeignNetwork:
    """A class or function that returns an ``nn.Module``: images (N, 3, H, W) -> logits.

    The module gives a tensor, an object with ``logits``, a dict with ``logits`` or ``out`` (and
    ``auxiliary`` or ``aux``), or a tuple of logits and auxiliary logits.

    Args:
        num_classes: C; handed on where the module has an argument of that name.
        module: dotted path, e.g. ``my_package.Net``.
        args: its arguments; under another name for the number of classes, it stands here.
        features: name -> module's path; default: ``head``, what the last convolution with one
            output a class reads. Name ``backbone`` too, where a loss or ``head_lr`` wants it.
        auxiliary: path of the auxiliary head, where the module does not return its logits.
        multiple: the module wants sides that are a multiple of it, and gets them padded; found
            by small images where it is 1 and the module refuses an odd size.
        mean: of the images, default ImageNet's.
        std: the same.
        scale: what images in [0, 1] are multiplied by first.
        rgb: False for a network that wants blue first.
        gives: ``softmax`` or ``sigmoid`` where it ends with one: logits are made of them.

    Raises:
        UserError: no such module, arguments that it does not take, or it is no ``nn.Module``.

    Example:
        >>> import torch
        >>> network = from_module(5, "torch.nn.Conv2d", dict(
        ...     in_channels=3, out_channels=5, kernel_size=1))
        >>> network(torch.zeros(1, 3, 4, 4)).logits.shape
        torch.Size([1, 5, 4, 4])
    """
    if not module:
        raise UserError("module is missing: expected the path of a class, e.g. my_package.Net")
    target = resolve(module)
    require_module(module, target)
    arguments = dict(args or {})
    if num_classes is not None and Component(use=module).accepts("num_classes"):
        arguments.setdefault("num_classes", num_classes)
    try:
        built = target(**arguments)
    except TypeError as error:
        key = "num_classes or args" if num_classes is None else "args"
        raise UserError(f"{module} cannot be built: {one_line(error)}; see {key}") from error
    except UserError:
        raise
    except Exception as error:  # whatever somebody's own network does when it is made
        raise UserError(f"{module} cannot be built: {raised(error)}") from error
    if not isinstance(built, nn.Module):
        raise UserError(f"{module}: expected an nn.Module, got {type(built).__name__}")
    given = normalisation(IMAGENET, mean=mean, std=std, scale=scale, rgb=rgb)
    foreign = ForeignNetwork(
        built,
        given,
        num_classes,
        module,
        features,
        auxiliary=auxiliary,
        multiple=multiple,
        gives=gives,
    )
    foreign.probe()
    return foreign
