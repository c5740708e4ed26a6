"""What differs between semantic and instance segmentation, behind one face.

A data set says by its ``task`` which one it is for; one that says nothing holds label maps.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import torch
from torch import Tensor, nn

#: Numbers by name: means as floats, those by class as lists.
Scores = dict[str, Any]


class Task(Protocol):
    """All that training and measuring know of a task."""

    #: ``semantic`` or ``instance``.
    name: str
    #: The score by which checkpoints are told apart: the higher the better.
    best_by: str
    #: What is measured by what, for messages: ``pixel`` and ``a label``.
    counted: tuple[str, str]

    @property
    def measures(self) -> nn.Module:
        """``update(predictions, targets)``, ``compute() -> Scores``, ``reset()``."""

    def transform(self, augment: Any) -> Any:
        """How an image and its target are augmented, see :mod:`bpkd.datasets.draws`."""

    def gather(self, samples: Sequence[Any]) -> tuple[Tensor, Any]:
        """Images and targets as one batch."""

    def target(self, target: Any, device: torch.device) -> Any:
        """A batch's targets on a device, as losses and measures take them."""

    def output(self, output: Any, who: str) -> Any:
        """What a network gave, if it is what a network of this task has to give.

        Raises:
            UserError: it is something else; ``who`` gave it.
        """

    def own_loss(self, output: Any, target: Any) -> tuple[Tensor, dict[str, Tensor]]:
        """What the student learns from the targets alone: the sum, and its terms by name."""

    def predict(self, network: nn.Module, images: Tensor, target: Any) -> Any:
        """What the measures compare with the targets, at the images' own size.

        The targets tell how large each image of the batch is without its padding, and no more.
        """
