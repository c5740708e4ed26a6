"""What every network here gives back, and what all of them share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bpkd.networks.sizes import same_size


class SegOutput(NamedTuple):
    """One forward pass of a segmentation network, before any upsampling.

    Attributes:
        logits: (N, C, h, w), one map a class.
        features: named maps (N, D, h', w'): ``backbone`` is the backbone's last stage, ``head``
            the map that the classifier reads.
        auxiliary: (N, C, h'', w'') logits of the auxiliary head, or None where there is none
            (networks here compute it in training mode only).
    """

    logits: Tensor
    features: dict[str, Tensor]
    auxiliary: Tensor | None = None


class InstanceOutput(NamedTuple):
    """One forward pass of a network that finds objects; lists run over the pyramid's levels.

    Each cell of a level's S x S grid, laid over the whole input, names the classes of an object
    whose centre is there, and a kernel: the object's mask logits are the kernel's products with
    the mask features, one a pixel (:func:`mask_logits`). The input is the batch of images, padded
    at the right and at the bottom to a multiple of 32.

    Attributes:
        category: logits (N, C, S, S), before any sigmoid.
        kernels: (N, E, S, S).
        mask_features: (N, E, h, w), at stride 4.
        features: named maps (N, D, h', w'): ``backbone`` is the backbone's last stage, ``p2``,
            ``p3``, ... the pyramid's levels.
    """

    category: list[Tensor]
    kernels: list[Tensor]
    mask_features: Tensor
    features: dict[str, Tensor]


def mask_logits(kernels: Tensor, mask_features: Tensor) -> Tensor:
    """Kernels (R, E) and an image's mask features (E, h, w) -> mask logits (R, h, w).

    Example:
        >>> mask_logits(torch.tensor([[1.0, 2.0]]), torch.tensor([[[1.0, 0.0]], [[0.0, 3.0]]]))
        tensor([[[1., 6.]]])
    """
    return (kernels @ mask_features.flatten(1)).view(-1, *mask_features.shape[1:])


class SegNetwork(nn.Module):
    """A backbone, a decode head and perhaps an auxiliary head.

    Images go in as RGB in [0, 1]; the network normalises them with its own mean and standard
    deviation, so a student and its teacher may each want their own, and an exported network
    carries its own.

    Args:
        backbone: images (N, 3, H, W) -> list of maps, fine to coarse; has ``mean`` and ``std``.
        decode_head: list of maps -> (logits, the map before the classifier).
        auxiliary_head: list of maps -> (logits, the map before the classifier), or None.
        mean: three numbers, of RGB in [0, 1].
        std: three numbers.
    """

    mean: Tensor
    std: Tensor
    #: Whether the auxiliary head works in evaluation mode too: a loss may want a teacher's.
    auxiliary_in_eval = False

    def __init__(
        self,
        backbone: nn.Module,
        decode_head: nn.Module,
        auxiliary_head: nn.Module | None = None,
        mean: Sequence[float] = (0.485, 0.456, 0.406),
        std: Sequence[float] = (0.229, 0.224, 0.225),
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.decode_head = decode_head
        self.auxiliary_head = auxiliary_head
        # Part of the architecture's definition, not of what is learnt: kept out of checkpoints.
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(1, 3, 1, 1), persistent=False)

    def forward(self, images: Tensor) -> SegOutput:
        """Images (N, 3, H, W), RGB in [0, 1] -> :class:`SegOutput`."""
        maps = self.backbone((images - self.mean) / self.std)
        logits, head = self.decode_head(maps)
        auxiliary = None
        if (self.training or self.auxiliary_in_eval) and self.auxiliary_head is not None:
            auxiliary = self.auxiliary_head(maps)[0]
        return SegOutput(logits, {"backbone": maps[-1], "head": head}, auxiliary)


def resize(maps: Tensor, size: Sequence[int] | torch.Size) -> Tensor:
    """Resize maps (N, D, h, w) to ``size`` (H, W): bilinear, corners not aligned.

    Example:
        >>> resize(torch.tensor([[[[0.0, 1.0]]]]), (1, 4))
        tensor([[[[0.0000, 0.2500, 0.7500, 1.0000]]]])
    """
    # On the meta device nothing is computed: there the resize stays, for the published networks
    # make it and :mod:`bpkd.networks.cost` counts it.
    if not maps.is_meta and same_size(maps.shape[-2:], size):
        return maps
    return F.interpolate(maps, size=tuple(size), mode="bilinear", align_corners=False)
