"""Semantic segmentation: one class a pixel."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from bpkd.datasets.draws import Transform
from bpkd.datasets.loading import gather
from bpkd.datasets.transforms import training_transform
from bpkd.errors import UserError
from bpkd.losses.task import CROSS_ENTROPY, TaskLoss
from bpkd.metrics.measures import Measures
from bpkd.networks.base import SegOutput, resize
from bpkd.recipe.sections import Augment
from bpkd.support.finite import check_labels, whole_labels


class Semantic:
    """Label maps (N, H, W) of class indices; networks give a :class:`SegOutput`.

    Args:
        measures: of predicted classes (N, H, W) and labels (N, H, W).
        logits: a network and images (N, 3, H, W) -> logits (N, C, H, W), see
            :mod:`bpkd.inference.windows`.
        ignore_index: label of pixels without a class.
        auxiliary_weight: of the auxiliary head's own loss.
        loss: logits and labels at one size, ignore_index -> the student's own loss.
    """

    name = "semantic"
    best_by = "mIoU"
    counted = ("pixel", "a label")

    def __init__(
        self,
        measures: Measures,
        logits: Callable[[nn.Module, Tensor], Tensor],
        ignore_index: int = 255,
        auxiliary_weight: float = 0.4,
        loss: TaskLoss = CROSS_ENTROPY,
    ) -> None:
        self.measures = measures
        self.logits = logits
        self.ignore_index = ignore_index
        self.auxiliary_weight = auxiliary_weight
        self.loss = loss

    def transform(self, augment: Augment) -> Transform:
        """Scale, crop, flip and colours, see :mod:`bpkd.datasets.transforms`."""
        return training_transform(ignore_index=self.ignore_index, **augment.model_dump())

    def gather(self, samples: Sequence[Any]) -> tuple[Tensor, Tensor]:
        """Images (N, 3, H, W) and labels (N, H, W), all of one size."""
        return gather(samples)

    def target(self, target: Tensor, device: torch.device) -> Tensor:
        """Labels as int64.

        Raises:
            UserError: a label is no whole number.
        """
        return whole_labels(target.to(device))

    def output(self, output: Any, who: str) -> SegOutput:
        """What a network gave, if it has what a SegOutput has."""
        if not all(hasattr(output, name) for name in SegOutput._fields):
            raise UserError(
                f"{who}.use: the network gives {type(output).__name__}, expected a SegOutput; "
                "bpkd.networks.foreign.from_module makes one of it (module: the same path)"
            )
        segmented: SegOutput = output
        return segmented

    def own_loss(self, output: SegOutput, target: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss of the logits, and of the auxiliary head's.

        Raises:
            UserError: a label is no class.
        """
        check_labels(target, output.logits.shape[1], self.ignore_index)
        terms = {"segmentation": self.at_labels_size(output.logits, target)}
        total = terms["segmentation"]
        if output.auxiliary is not None:
            terms["auxiliary"] = self.at_labels_size(output.auxiliary, target)
            total = total + self.auxiliary_weight * terms["auxiliary"]
        return total, terms

    def at_labels_size(self, logits: Tensor, labels: Tensor) -> Tensor:
        """The loss of logits (N, C, h, w), resized to the labels' size."""
        resized = resize(logits.float(), labels.shape[-2:])
        return self.loss(resized, labels, self.ignore_index)

    @torch.inference_mode()
    def predict(self, network: nn.Module, images: Tensor, target: Any = None) -> Tensor:
        """The class of each pixel (N, H, W), int64."""
        return self.logits(network, images).argmax(dim=1)
