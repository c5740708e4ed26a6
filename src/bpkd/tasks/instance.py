"""Instance segmentation: objects, each with a mask, a class and, where predicted, a score."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torchvision.transforms.v2 import functional as F

from bpkd.datasets.instance_transforms import InstanceTransform, gather, instance_transform
from bpkd.datasets.instances import Instances
from bpkd.datasets.transforms import PADDING, rescaled_size
from bpkd.errors import UserError
from bpkd.metrics.instances import InstanceMeasures
from bpkd.networks.base import InstanceOutput
from bpkd.networks.solov2.loss import solov2_loss
from bpkd.networks.solov2.predictions import PUBLISHED, PostProcessing, predictions
from bpkd.networks.solov2.targets import FULL, Range, assign_batch


class Instance:
    """Targets are an image's :class:`Instances` each; networks give an :class:`InstanceOutput`.

    Args:
        measures: of lists of Instances, predicted and true.
        size: (long, short) that images to predict are fitted into, their ratio kept; None: as
            they are.
        settings: what of a network's outputs is kept.
        scale_ranges: sizes of the objects that each of the student's levels learns.
        padding: what batches of differing images are filled up with, the mean that the student
            takes off: to it the padding is 0, as it is to one that pads a single image itself.
        antialias: whether an image that shrinks is smoothed first, as in training.
    """

    name = "instance"
    best_by = "AP"
    counted = ("image", "an instance")

    def __init__(
        self,
        measures: InstanceMeasures,
        size: Sequence[int] | None = None,
        settings: PostProcessing = PUBLISHED,
        scale_ranges: Sequence[Range] = FULL,
        padding: Sequence[float] = PADDING,
        antialias: bool = True,
    ) -> None:
        self.measures = measures
        self.size = size
        self.settings = settings
        self.scale_ranges = scale_ranges
        self.padding = list(padding)
        self.antialias = antialias

    def transform(self, augment: Any) -> InstanceTransform:
        """Size, crop, flip and colours, see :mod:`bpkd.datasets.instance_transforms`."""
        return instance_transform(**augment.model_dump())

    def gather(self, samples: Sequence[Any]) -> tuple[Tensor, list[Instances]]:
        """Images (N, 3, H, W), filled up to one size, and the instances at their own sizes."""
        return gather(samples, fill=self.padding)

    def target(self, target: Sequence[Instances], device: torch.device) -> list[Instances]:
        """The same on a device."""
        return [Instances(*(_to(value, device) for value in each)) for each in target]

    def output(self, output: Any, who: str) -> InstanceOutput:
        """What a network gave, if it has what an InstanceOutput has."""
        if not all(hasattr(output, name) for name in InstanceOutput._fields):
            raise UserError(
                f"{who}.use: the network gives {type(output).__name__}, and the data set holds "
                "instances: take one that finds objects, as bpkd.networks.solov2_light_r18"
            )
        found: InstanceOutput = output
        return found

    def own_loss(
        self, output: InstanceOutput, target: Sequence[Instances]
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """SOLOv2's own: dice for masks, focal loss for classes, in full precision."""
        with torch.autocast(output.mask_features.device.type, enabled=False):
            terms = solov2_loss(output, assign_batch(target, output, self.scale_ranges))
        return terms["mask"] + terms["category"], terms

    @torch.inference_mode()
    def predict(
        self, network: nn.Module, images: Tensor, target: Sequence[Instances]
    ) -> list[Instances]:
        """The instances of each image, at its own size, best first.

        What is found in an image does not depend on what shares its batch: padding would stretch
        the grids, so only images of one size go through the network together.
        """
        sizes = [(int(each.masks.shape[1]), int(each.masks.shape[2])) for each in target]
        found: dict[int, Instances] = {}
        for size in dict.fromkeys(sizes):
            alike = [place for place, other in enumerate(sizes) if other == size]
            batch = images[alike, :, : size[0], : size[1]]
            found |= dict(zip(alike, self.found(network, batch), strict=True))
        return [found[place] for place in range(len(sizes))]

    def found(self, network: nn.Module, images: Tensor) -> list[Instances]:
        """The instances of images (N, 3, H, W) of one size, without any padding."""
        height, width = images.shape[-2:]
        size = (height, width)
        if self.size is not None:
            size = rescaled_size(size, self.size)
            images = F.resize(images, list(size), antialias=self.antialias)
        output = self.output(network(images), "network")
        every, own = [size] * len(images), [(height, width)] * len(images)
        return predictions(output, every, own, self.settings)


def _to(value: Tensor | None, device: torch.device) -> Any:
    return value if value is None else value.to(device)
