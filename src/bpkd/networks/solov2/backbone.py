"""SOLOv2's backbone: four maps of any of timm's networks, in part frozen, in part deformable."""

from __future__ import annotations

from itertools import chain

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from bpkd.errors import UserError
from bpkd.networks.backbone import TimmBackbone
from bpkd.networks.solov2.deformable import DeformConv2d

STRIDES = (4, 8, 16, 32)


class Backbone(TimmBackbone):
    """Maps at strides 4, 8, 16 and 32.

    Args:
        name: a name from ``timm.list_models()``.
        weights: a file, ``hub`` or None, as for :class:`TimmBackbone`.
        deformable: whether the 3x3 convolutions of a ResNet's last three stages are deformable;
            they keep the weights that were loaded.
        frozen_stages: how many stages, and the stem with them, are not trained; 0: all are.
        norm_eval: whether batch normalisation keeps its statistics in training.

    Raises:
        UserError: the network has no maps at these strides, no such stages or convolutions.
    """

    def __init__(
        self,
        name: str,
        weights: str | None = None,
        *,
        deformable: bool = False,
        frozen_stages: int = 1,
        norm_eval: bool = True,
    ) -> None:
        super().__init__(name, 32, weights)
        if not set(STRIDES) <= set(self.reductions):
            raise UserError(
                f"SOLOv2: timm's {name} has maps at strides {self.reductions}; it needs 4, 8, 16 "
                "and 32, as ResNets, ConvNeXts and MobileNets have them"
            )
        # The last map of each stride: the deepest.
        places = [len(self.reductions) - 1 - self.reductions[::-1].index(s) for s in STRIDES]
        self.places = places
        self.channels = [self.channels[place] for place in places]
        self.reductions = list(STRIDES)
        self.norm_eval = norm_eval
        if deformable:
            self._deform(name)
        self.frozen = self._stages(name, frozen_stages)
        for parameter in chain.from_iterable(each.parameters() for each in self.frozen):
            parameter.requires_grad_(False)

    def forward(self, images: Tensor) -> list[Tensor]:
        """Normalised images (N, 3, H, W) -> four maps, fine to coarse."""
        maps = super().forward(images)
        return [maps[place] for place in self.places]

    def train(self, mode: bool = True) -> Backbone:
        """Training mode; normalisation that is to keep its statistics stays as in evaluation."""
        super().train(mode)
        resting = [self.model] if self.norm_eval else self.frozen
        for module in chain.from_iterable(each.modules() for each in resting):
            if isinstance(module, _BatchNorm):
                module.eval()
        return self

    def _deform(self, name: str) -> None:
        stages = [getattr(self.model, f"layer{i}", ()) for i in (2, 3, 4)]
        blocks = [block for block in chain.from_iterable(stages) if hasattr(block, "conv3")]
        if not blocks:
            raise UserError(
                f"SOLOv2: timm's {name} has no stages of bottlenecks for deformable convolutions; "
                "take a ResNet of 50 layers or more, or deformable: none or head"
            )
        for block in blocks:
            block.conv2 = DeformConv2d.like(block.conv2)

    def _stages(self, name: str, count: int) -> list[nn.Module]:
        """The stem and the first stages."""
        if count == 0:
            return []
        children = dict(self.model.named_children())
        ends = [each.replace(".", "_") for each in self.model.feature_info.module_name()]
        ends = [ends[place] for place in self.places]
        if not 0 < count <= len(ends) or not set(ends) <= set(children):
            raise UserError(
                f"SOLOv2: frozen_stages is {count}; expected 0, or 1 to {len(STRIDES)} of a "
                f"backbone of stages one after another (timm's {name} has "
                f"{', '.join(children)})"
            )
        last = list(children).index(ends[count - 1])
        return list(children.values())[: last + 1]
