"""A network's file as a network: images in, a SegOutput out, classes and colours beside it."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bpkd.errors import UserError
from bpkd.networks.base import SegOutput
from bpkd.networks.files.described import Description


class Program(Protocol):
    """What runs a file of one format; made of its path and the number of threads."""

    #: What the file says of itself: JSON by name.
    metadata: dict[str, str]
    #: (H, W) of the images, where it takes no others.
    size: tuple[int, int] | None
    #: C of the logits, where it is known before the first image.
    channels: int | None

    def __call__(self, images: Tensor) -> Tensor:
        """Images (N, 3, H, W), float32 in [0, 1] -> logits (N, C, h, w) or labels (N, h, w)."""


class FileNetwork(nn.Module):
    """A network's file: images (N, 3, H, W), RGB in [0, 1] -> SegOutput without features.

    Images that are smaller than the one size that a file takes are filled up with grey at the
    bottom and at the right, and the logits cut again. Labels come as logits of 1 and 0.

    Args:
        path: the file.
        program: what runs it.
        description: what it says of itself.

    Attributes:
        classes: names.
        palette: their colours.
        only_size: (H, W) of the images, where it takes no others.
    """

    #: Asked of every teacher; there is no auxiliary head any more.
    auxiliary_in_eval = False

    def __init__(self, path: str, program: Program, description: Description) -> None:
        super().__init__()
        self.path, self.program, self.description = path, program, description
        self.classes, self.palette = description.classes, description.palette
        self.num_classes = len(self.classes)
        self.only_size = program.size
        # Kept scores are told apart by a network's state: this file's is its content.
        self.register_buffer("content", _digest(path))
        if program.channels not in (None, self.num_classes):
            self._refuse(f"gives {program.channels}")
        self.eval()

    def train(self, mode: bool = True) -> FileNetwork:
        """A file cannot be trained: it stays as it is."""
        return super().train(False)

    def forward(self, images: Tensor) -> SegOutput:
        """Images (N, 3, H, W), RGB in [0, 1] -> :class:`SegOutput`.

        Raises:
            UserError: the file does not take images of this size, or gives what it should not.
        """
        logits = self._logits(self._filled(images))
        if logits.shape[1] != self.num_classes:
            self._refuse(f"gives {logits.shape[1]}")
        self._check_finite(logits)
        return SegOutput(self._cut(logits, images), {})

    def _check_finite(self, values: Tensor) -> None:
        if not torch.isfinite(values).all():
            raise UserError(
                f"{self.path}: gives numbers that are not finite: its weights are damaged, or too "
                "large for its precision; export it again, in fp32"
            )

    def _logits(self, images: Tensor) -> Tensor:
        found = self.program(images)
        if self.description.output == "logits":
            if found.dim() != 4:
                raise UserError(
                    f"{self.path}: gives {tuple(found.shape)}, expected logits N x C x h x w; if "
                    "these are labels, say so beside it: output: labels"
                )
            return found.float()
        if (highest := int(found.max())) >= self.num_classes:
            self._refuse(f"gives the label {highest}")
        return F.one_hot(found.long(), self.num_classes).movedim(-1, 1).float()

    def _filled(self, images: Tensor) -> Tensor:
        if self.only_size is None or images.shape[-2:] == self.only_size:
            return images
        bottom, right = (s - i for s, i in zip(self.only_size, images.shape[-2:], strict=True))
        if min(bottom, right) < 0:
            raise UserError(
                f"{self.path}: takes images of {self.only_size[0]} x {self.only_size[1]} alone "
                f"(height x width), got {images.shape[-2]} x {images.shape[-1]}; segment by "
                "windows of that size, or export with --dynamic"
            )
        return F.pad(images, (0, right, 0, bottom), value=0.5)

    def _cut(self, logits: Tensor, images: Tensor) -> Tensor:
        """The part of the logits that belongs to images that were filled up, rounded up."""
        if self.only_size is None or images.shape[-2:] == self.only_size:
            return logits
        sides = zip(logits.shape[-2:], images.shape[-2:], self.only_size, strict=True)
        height, width = (-(-side * own // whole) for side, own, whole in sides)
        return logits[..., :height, :width]

    def _refuse(self, what: str) -> None:
        raise UserError(
            f"{self.path}: {what}, and says that it knows {self.num_classes} classes "
            f"({', '.join(self.classes[:3])}, ...); the description is another network's: export "
            "it again"
        )


def _digest(path: str) -> Tensor:
    """A hash of a file, and of the weights that may lie beside it, as bytes."""
    digest = hashlib.sha256()
    for file in (Path(path), Path(path).with_suffix(".bin")):
        if file.is_file():
            digest.update(file.read_bytes())
    return torch.tensor(list(digest.digest()), dtype=torch.uint8)
