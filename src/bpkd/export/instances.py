"""SOLOv2 as it leaves: what the network says of an image, and the masks of the likeliest cells."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from bpkd.boundary import trimap_bands
from bpkd.errors import UserError
from bpkd.export.verification import OUTLINE, Verified, finite, found_apart
from bpkd.networks.base import InstanceOutput
from bpkd.networks.files.described import Description
from bpkd.networks.files.instances import OUTPUTS

#: Masks that are made inside: matrix NMS keeps no more than a hundred objects.
BEST = 100


class LeavingInstances(nn.Module):
    """Images (N, 3, H, W), RGB in [0, 1] -> the five of :data:`OUTPUTS`.

    Category logits (N, C, cells), kernels (N, E, cells), mask features (N, E, h, w), the likeliest
    cells (N, K) and their masks' probabilities (N, K, h, w). K is 100, or all cells.

    Args:
        network: images -> :class:`InstanceOutput`.
        description: what the file is to say of itself.
    """

    def __init__(self, network: nn.Module, description: Description) -> None:
        super().__init__()
        self.network = network
        self.description = description
        self.eval()

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Images -> outputs."""
        output: InstanceOutput = self.network(images)
        category = torch.cat([level.flatten(2) for level in output.category], dim=2)
        kernels = torch.cat([level.flatten(2) for level in output.kernels], dim=2)
        best = min(BEST, category.shape[2])
        cells = category.amax(dim=1).topk(best, dim=1).indices
        return (
            category,
            kernels,
            output.mask_features,
            cells,
            masks_of(kernels, output.mask_features, cells),
        )


def masks_of(kernels: Tensor, features: Tensor, cells: Tensor) -> Tensor:
    """The mask probabilities (N, K, h, w) of cells (N, K).

    Args:
        kernels: (N, E, cells).
        features: (N, E, h, w).
        cells: their numbers.

    Example:
        >>> kernels, features = torch.tensor([[[0.0, 2.0]]]), torch.tensor([[[[0.0, 1.0]]]])
        >>> masks_of(kernels, features, torch.tensor([[1]])).shape
        torch.Size([1, 1, 1, 2])
    """
    chosen = kernels.gather(2, cells[:, None].expand(-1, kernels.shape[1], -1))
    return torch.einsum("nek,nehw->nkhw", chosen, features).sigmoid()


def check_instances(description: Description, format_name: str) -> None:
    """Refuse what a file of this task cannot be.

    Raises:
        UserError: says what it can be.
    """
    if format_name != "onnx":
        raise UserError(
            f"--format {format_name}: a network that finds objects leaves as onnx alone"
        )
    if description.precision != "fp32":
        raise UserError(
            f"--precision {description.precision}: a network that finds objects leaves as fp32 "
            "alone; its masks are products of two outputs, and nobody has measured fewer bits"
        )
    if description.at != "image":
        raise UserError(
            "--at is for label maps; masks of objects leave at the network's own size, stride 4"
        )


def verify_instances(
    network: LeavingInstances, file: Path, images: Sequence[Tensor], source: str
) -> Verified:
    """Compare a file with its network, see :func:`bpkd.export.verification.verify`.

    ``difference`` is of category logits, kernels and mask features, and of the masks in the file
    with those that its kernels and features make; ``changed`` and ``outline`` of the masks of the
    network's likeliest cells, cut at one half.
    """
    difference, low, high = 0.0, float("inf"), float("-inf")
    counts = torch.zeros(4, dtype=torch.float64)  # changed, all; the same near outlines
    for image, found in zip(images, found_apart(file, images, OUTPUTS), strict=True):
        with torch.no_grad():
            wanted = dict(zip(OUTPUTS, network(image), strict=True))
        finite(wanted.values())
        for name in OUTPUTS[:3]:
            difference = max(difference, (found[name] - wanted[name]).abs().max().item())
            low = min(low, wanted[name].min().item())
            high = max(high, wanted[name].max().item())
        own = masks_of(found["kernels"], found["mask_features"], found["cells"])
        difference = max(difference, (own - found["masks"]).abs().max().item())
        same = masks_of(found["kernels"], found["mask_features"], wanted["cells"])
        inside = wanted["masks"] > 0.5
        differs = (same > 0.5) != inside
        band = trimap_bands(inside.flatten(0, 1).long(), OUTLINE).view_as(inside)
        counts += torch.tensor([differs.sum(), differs.numel(), (differs & band).sum(), band.sum()])
    changed, all_pixels, outline, near = counts.tolist()
    sizes = sorted({(image.shape[-2], image.shape[-1]) for image in images})
    return Verified(
        len(images), source, sizes, difference, high - low,
        changed / max(all_pixels, 1), outline / max(near, 1),
    )  # fmt: skip
