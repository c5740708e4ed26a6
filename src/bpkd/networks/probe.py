"""Which image sizes a network takes: found by running it once on small ones when it is built."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import chain
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bpkd.errors import UserError
from bpkd.networks.sizes import same_size
from bpkd.support.messages import one_line

#: Sides without a common factor with any stride.
ODD = (97, 75)
_EVEN = (128, 192)


class NotTaken(UserError, RuntimeError):
    """A network fails at an image: at its size, as a rule."""


def refusal(
    network: nn.Module, size: Sequence[int], run: Callable[[Tensor], Any] | None = None
) -> str:
    """Why a network does not take an image of a size; empty where it does.

    The network stays as it is, and so do the random numbers.

    Args:
        network: says where its tensors are, and is in evaluation mode meanwhile.
        size: (H, W).
        run: what to call instead of the network itself.

    Example:
        >>> refusal(nn.Conv2d(3, 4, 1), (5, 5)), refusal(nn.Conv2d(3, 4, 9), (5, 5))[:19]
        ('', 'RuntimeError: Calcu')
    """
    tensor = next(chain(network.parameters(), network.buffers()), torch.zeros(()))
    training = [module for module in network.modules() if module.training]
    network.eval()
    try:
        with torch.random.fork_rng(devices=[]), torch.no_grad():
            images = torch.zeros(1, 3, *size, device=tensor.device)
            (run or network)(images)
    except Exception as error:  # whatever an architecture meets a size with
        return f"{type(error).__name__}: {one_line(error)}"
    finally:
        for module in training:  # not train(): parts may rest for good
            module.training = True
    return ""


def multiple_of(
    refused: Callable[[Sequence[int]], str], candidates: Iterable[int], least: int = 64
) -> int | None:
    """The number of which a network's images have to be multiples; None where none is found.

    Args:
        refused: (H, W) -> why not, as :func:`refusal`.
        candidates: numbers to try after 1, in this order.
        least: no side smaller than this is tried.

    Example:
        >>> multiple_of(lambda size: "" if not any(side % 16 for side in size) else "no", [8, 16])
        16
        >>> multiple_of(lambda size: "no", [8])
    """
    if not refused(ODD) and not refused(_EVEN):
        return 1
    for step in candidates:
        base = -(-least // step) * step
        # Neither is a multiple of twice the step in both of its sides.
        if all(not refused(size) for size in ((base + step, base), (base, base + 2 * step))):
            return step
    return None


def padded(images: Tensor, multiple: int) -> Tensor:
    """Images with zeros at the bottom and at the right, to sides that are multiples.

    Example:
        >>> padded(torch.ones(1, 1, 3, 4), 4).shape
        torch.Size([1, 1, 4, 4])
    """
    bottom, right = (-side % multiple for side in images.shape[-2:])
    return images if same_size((bottom, right), (0, 0)) else F.pad(images, (0, right, 0, bottom))


def cut(maps: Tensor, size: Sequence[int], whole: Sequence[int]) -> Tensor:
    """The share that an image has of a padded image's map, rounded up.

    Args:
        maps: (N, D, h, w).
        size: of the image.
        whole: of the padded image.

    Example:
        >>> cut(torch.zeros(1, 1, 4, 4), (33, 64), (64, 64)).shape
        torch.Size([1, 1, 3, 4])
    """
    if same_size(size, whole):
        return maps
    h, w = (-(-m * s // p) for m, s, p in zip(maps.shape[-2:], size, whole, strict=True))
    return maps[..., :h, :w]
