"""The network as it leaves: images in, one tensor out, nothing that only training needs."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from bpkd.errors import UserError
from bpkd.networks.files.described import Description


class Leaving(nn.Module):
    """Images (N, 3, H, W), RGB in [0, 1] -> logits (N, C, h, w), or labels (N, h, w) in uint8.

    Args:
        network: images -> :class:`bpkd.networks.base.SegOutput`; its own normalisation goes along,
            its auxiliary head stays behind.
        description: says whether logits or labels, at the image's size or the network's.

    Example:
        >>> from bpkd.networks import PSPNet
        >>> network = PSPNet(3, "test_resnet.r160_in1k", output_stride=8, channels=8)
        >>> known = Description(classes=["a", "b", "c"], palette=[(0, 0, 0)] * 3, output="labels")
        >>> Leaving(network, known)(torch.zeros(1, 3, 32, 48)).shape
        torch.Size([1, 32, 48])
    """

    def __init__(self, network: nn.Module, description: Description) -> None:
        super().__init__()
        self.network = network
        self.description = description
        self.eval()

    def forward(self, images: Tensor) -> Tensor:
        """Images (N, 3, H, W) -> what the description says."""
        output: Tensor = self.network(images).logits
        if self.description.at == "image":
            size = images.shape[-2:]
            output = F.interpolate(output, size=size, mode="bilinear", align_corners=False)
        if self.description.output == "labels":
            output = output.argmax(dim=1).to(torch.uint8)
        return output


def check_output(description: Description) -> None:
    """Refuse what a file of this task cannot hold.

    Raises:
        UserError: too many classes for uint8.
    """
    if description.output == "labels" and len(description.classes) > 256:
        raise UserError(
            f"--argmax: labels are uint8, and there are {len(description.classes)} classes; export "
            "logits"
        )


class AnySize(TorchFunctionMode):
    """Inside, what exporters tie to the size of their example is done in a way that they do not.

    Average pooling to a grid has windows that depend on the image's size; as a product with two
    matrices of shares it is the same for every size.
    """

    def __torch_function__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        """Replace the one function; all others run as they are."""
        kwargs = kwargs or {}
        if func in (F.adaptive_avg_pool2d, torch._C._nn.adaptive_avg_pool2d):
            return pooled(*args, **kwargs)
        return func(*args, **kwargs)


def pooled(input: Tensor, output_size: int | tuple[int | None, int | None]) -> Tensor:
    """``F.adaptive_avg_pool2d`` by matrix products, for maps (N, D, h, w) of any size.

    Example:
        >>> maps = torch.arange(35.0).view(1, 1, 5, 7)
        >>> torch.allclose(pooled(maps, (2, 3)), F.adaptive_avg_pool2d(maps, (2, 3)))
        True
    """
    grid = (output_size,) * 2 if isinstance(output_size, int) else tuple(output_size)
    if grid == (1, 1):
        return input.mean(dim=(-2, -1), keepdim=True)
    for dim, count in zip((-2, -1), grid, strict=True):
        if count is not None:
            shares = _shares(input.shape[dim], count, input)
            moved = input if dim == -1 else input.transpose(-1, -2)
            moved = moved @ shares
            input = moved if dim == -1 else moved.transpose(-1, -2)
    return input


def _shares(length: int, count: int, like: Tensor) -> Tensor:
    """What each of ``length`` pixels gives to each of ``count`` means: (length, count)."""
    pixel = torch.arange(length, device=like.device)[:, None]
    cell = torch.arange(count, device=like.device)[None, :]
    # Cell i averages the pixels from floor(i * length / count) to ceil((i + 1) * length / count).
    inside = ((pixel + 1) * count > cell * length) & (pixel * count < (cell + 1) * length)
    members = inside.to(like.dtype)
    return members / members.sum(dim=0, keepdim=True)
