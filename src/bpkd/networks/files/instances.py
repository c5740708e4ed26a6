"""A file of a network that finds objects, as that network."""

from __future__ import annotations

import torch
from torch import Tensor

from bpkd.errors import UserError
from bpkd.networks.base import InstanceOutput
from bpkd.networks.files.described import Description
from bpkd.networks.files.network import FileNetwork, Program

#: What such a file gives. A level's S x S cells follow each other, all levels in one row; `cells`
#: are the K likeliest of an image, and `masks` their probabilities at stride 4. Matrix NMS, which
#: leaves one of several masks of an object, is not in the file.
OUTPUTS = ("category", "kernels", "mask_features", "cells", "masks")


class InstanceFile(FileNetwork):
    """Images (N, 3, H, W), RGB in [0, 1] -> :class:`InstanceOutput` without features.

    Args:
        path: the file.
        program: what runs it.
        description: what it says of itself.

    Raises:
        UserError: what it says is not what it gives.
    """

    def __init__(self, path: str, program: Program, description: Description) -> None:
        super().__init__(path, program, description)
        if not description.grids:
            raise UserError(f"{path}: does not say its grids; export it again")

    def forward(self, images: Tensor) -> InstanceOutput:  # type: ignore[override]
        """Images -> what the network said of them.

        Raises:
            UserError: the file does not take images of this size, or gives what it should not.
        """
        if self.only_size not in (None, tuple(images.shape[-2:])):
            raise UserError(
                f"{self.path}: takes images of {self.only_size[0]} x {self.only_size[1]} alone "  # type: ignore[index]
                f"(height x width), got {images.shape[-2]} x {images.shape[-1]}; export with "
                "--dynamic"
            )
        found = self.every(images)
        category, kernels, features = (found[name].float() for name in OUTPUTS[:3])
        self._check(category, kernels)
        return InstanceOutput(self._levels(category), self._levels(kernels), features, {})

    def every(self, images: Tensor) -> dict[str, Tensor]:
        """All that the file gives, by name."""
        outputs: dict[str, Tensor] = self.program.every(images)  # type: ignore[attr-defined]
        return outputs

    def _check(self, category: Tensor, kernels: Tensor) -> None:
        cells = sum(side * side for side in self.description.grids)
        if category.shape[1] != self.num_classes:
            self._refuse(f"gives {category.shape[1]}")
        if not category.shape[2] == kernels.shape[2] == cells:
            raise UserError(
                f"{self.path}: gives {category.shape[2]} cells, and says that it has {cells}; the "
                "description is another network's: export it again"
            )
        self._check_finite(category)
        self._check_finite(kernels)

    def _levels(self, cells: Tensor) -> list[Tensor]:
        """(N, D, cells) -> (N, D, S, S) a level."""
        grids = self.description.grids
        parts = torch.split(cells, [side * side for side in grids], dim=2)
        return [
            part.reshape(*part.shape[:2], side, side)
            for part, side in zip(parts, grids, strict=True)
        ]
