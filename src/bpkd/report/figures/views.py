"""What a page of images shows of one task: what a network sees in an image, and how good it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from bpkd.datasets.instances import Instances
from bpkd.datasets.transforms import to_float
from bpkd.inference.instance_overlay import flattened, outlined, with_edges
from bpkd.inference.overlay import Picture, colourise, overlay
from bpkd.inference.predictor import device_of
from bpkd.inference.tasks import instance_task
from bpkd.inference.windows import Inference, build_inference, predict
from bpkd.recipe.instance import InstanceRecipe
from bpkd.recipe.schema import Recipe
from bpkd.report.figures.rule import found_quality, trimap_gain, window
from bpkd.tasks.instance import Instance

#: The least score of an object that is drawn: AP also counts what is hardly seen.
SCORE = 0.3


class View(Protocol):
    """A task's side of a page; ``seen`` is a label map, or an image's instances.

    Attributes:
        truth: what the column of the annotations is called.
    """

    truth: str

    def unit(self, width: int) -> str:
        """What a gain is measured in, the band being so many pixels wide."""

    def true(self, target: Any) -> Any:
        """The annotations of an image, as what a network would see."""

    def see(self, network: nn.Module, image: Tensor) -> Any:
        """What a network sees in an image uint8 (3, H, W)."""

    def gain(self, before: Any, after: Any, target: Any, width: int) -> float:
        """By how many points the second is better; nan where there is nothing to compare."""

    def part(
        self, seen: Sequence[Any], target: Any, size: tuple[int, int], width: int
    ) -> tuple[slice, slice]:
        """Where they differ most along outlines."""

    def laid_over(self, image: Tensor, seen: Any, target: Any) -> Picture:
        """The image with what is seen, (H, W, 3)."""

    def close(self, image: Tensor, seen: Any, target: Any) -> Picture:
        """The same for a part that is enlarged."""

    def layer(self, seen: Any, target: Any) -> Picture:
        """Colours and how much of them shows, (H, W, 4)."""


class LabelMaps:
    """Of semantic segmentation: a class for each pixel.

    Args:
        palette: a colour for each class.
        ignore_index: label of pixels that are left out.
        inference: how to get logits.
    """

    truth = "labels"

    def __init__(
        self, palette: Sequence[tuple[int, int, int]], ignore_index: int, inference: Inference
    ) -> None:
        self.palette, self.ignore_index, self.inference = palette, ignore_index, inference

    def unit(self, width: int) -> str:
        """Points of trimap IoU."""
        return f"trimap IoU at {width} px"

    def true(self, target: Tensor) -> Tensor:
        """The labels (H, W)."""
        return target.long()

    def see(self, network: nn.Module, image: Tensor) -> Tensor:
        """The classes (H, W)."""
        with torch.no_grad():
            batch = to_float(image)[None].to(device_of(network))
            return predict(network, batch, self.inference)[0].cpu().long()

    def gain(self, before: Tensor, after: Tensor, target: Tensor, width: int) -> float:
        """Of trimap IoU."""
        return trimap_gain(before, after, target.long(), len(self.palette), width)

    def part(
        self, seen: Sequence[Tensor], target: Tensor, size: tuple[int, int], width: int
    ) -> tuple[slice, slice]:
        """Where classes differ along the labels' outlines."""
        return window(seen, target.long(), size, width)

    def laid_over(self, image: Tensor, seen: Tensor, target: Tensor) -> Picture:
        """The classes' colours over the image."""
        return overlay(image, self._known(seen, target), self.palette)

    def close(self, image: Tensor, seen: Tensor, target: Tensor) -> Picture:
        """The colours alone."""
        return colourise(self._known(seen, target), self.palette)

    def layer(self, seen: Tensor, target: Tensor) -> Picture:
        """The colours where there is a label."""
        return see_through(self._known(seen, target), self.palette)

    def _known(self, seen: Tensor, target: Tensor) -> Tensor:
        return seen.where(target.long() != self.ignore_index, -1)


class Objects:
    """Of instances: the objects of an image, those that are drawn.

    Args:
        palette: a colour for each class.
        task: how instances are found.
        score: the least score of what is drawn and judged.
    """

    truth = "annotations"

    def __init__(
        self, palette: Sequence[tuple[int, int, int]], task: Instance, score: float = SCORE
    ) -> None:
        self.palette, self.task, self.score = palette, task, score

    def unit(self, width: int) -> str:
        """Points of the quality of what was found."""
        return f"quality of the objects found with a score from {self.score:g}"

    def true(self, target: Instances) -> Instances:
        """The annotations."""
        return target

    def see(self, network: nn.Module, image: Tensor) -> Instances:
        """The objects of a score that is enough, on the CPU."""
        with torch.inference_mode():
            found = self.task.found(network, to_float(image)[None].to(device_of(network)))[0]
        scores = found.scores
        assert scores is not None
        kept = found.only(scores >= self.score)
        return Instances(*(None if value is None else value.cpu() for value in kept))  # type: ignore[arg-type]

    def gain(self, before: Instances, after: Instances, target: Instances, width: int) -> float:
        """Of the quality of what was found, see :func:`~bpkd.report.figures.rule.found_quality`."""
        return 100 * (found_quality(after, target) - found_quality(before, target))

    def part(
        self, seen: Sequence[Instances], target: Instances, size: tuple[int, int], width: int
    ) -> tuple[slice, slice]:
        """Where classes differ along the outlines of true objects."""
        return window([self._classes(each) for each in seen], flattened(target, 0)[1], size, width)

    def laid_over(self, image: Tensor, seen: Instances, target: Instances) -> Picture:
        """The objects, outlined, over the image."""
        return outlined(image, seen, self.palette)

    def close(self, image: Tensor, seen: Instances, target: Instances) -> Picture:
        """The same."""
        return outlined(image, seen, self.palette)

    def layer(self, seen: Instances, target: Instances) -> Picture:
        """The colours where objects are, their outlines white."""
        classes = self._classes(seen)
        picture = see_through(classes, self.palette)
        numbers = flattened(seen, 0)[1]
        edged = with_edges(picture[..., :3].copy(), numbers, 1)
        inside = (numbers > 0).numpy()
        picture[inside, :3] = edged[inside]
        return picture

    def _classes(self, seen: Instances) -> Tensor:
        """(H, W): -1 where no object is; a crowd is a class that there is not."""
        classes, numbers = flattened(seen, len(self.palette))
        return classes.where(numbers > 0, -1)


def see_through(labels: Tensor, palette: Sequence[tuple[int, int, int]]) -> Picture:
    """Labels (H, W) in their colours (H, W, 4), see-through where there is no class.

    Example:
        >>> see_through(torch.tensor([[0, -1]]), [(9, 8, 7)]).tolist()
        [[[9, 8, 7, 255], [0, 0, 0, 0]]]
    """
    known = ((labels >= 0) & (labels < len(palette))).cpu().numpy()
    return np.dstack([colourise(labels, palette), 255 * known.astype(np.uint8)])


def view_of(recipe: Recipe, data: Any) -> View:
    """The view of a data set, as a recipe wants it measured."""
    if isinstance(recipe, InstanceRecipe):
        return Objects(data.palette, instance_task(recipe, len(data.classes)))
    return LabelMaps(data.palette, data.ignore_index, build_inference(recipe.evaluation))


def all_seen(view: View, networks: Mapping[str, nn.Module], image: Tensor) -> dict[str, Any]:
    """What each network sees in an image."""
    return {name: view.see(network, image) for name, network in networks.items()}
