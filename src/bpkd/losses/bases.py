"""What the small losses begin with: the arguments that they share, both networks' maps, a mask."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, ClassVar, Literal

from torch import Tensor, nn

from bpkd.losses.common import Output, labelled_pixels, logit_maps
from bpkd.losses.features import counted, feature_maps


class LogitLoss(nn.Module):
    """A loss on the logits of class maps.

    Args:
        temperature: T > 0.
        ignore_index: label of pixels that are left out; None keeps them, as published code does.
    """

    task: ClassVar[str] = "semantic"

    def __init__(self, temperature: float = 1.0, ignore_index: int | None = 255) -> None:
        super().__init__()
        self.temperature = temperature
        self.ignore_index = ignore_index

    def maps(
        self, student: Output, teacher: Output, labels: Tensor
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """Logits and target of :func:`logit_maps`, and the pixels that count."""
        logits, target = logit_maps(student, teacher)
        return logits, target, labelled_pixels(labels, logits, self.ignore_index)


class FeatureLoss(nn.Module):
    """A loss on one map of features, of label maps or of another task.

    Args:
        feature: name of the features.
        ignore_index: label of pixels that are left out; None keeps them, as published code does.
    """

    def __init__(self, feature: str = "head", ignore_index: int | None = 255) -> None:
        super().__init__()
        self.feature = feature
        self.ignore_index = ignore_index

    def maps(self, student: Any, teacher: Any, target: Any) -> tuple[Tensor, Tensor, Tensor | None]:
        """Both maps of :func:`feature_maps`, and the pixels that count."""
        maps, theirs = feature_maps(student, teacher, self.feature)
        return maps, theirs, counted(target, maps, self.ignore_index)


def level_maps(
    student: Any,
    teacher: Any,
    target: Any,
    features: Sequence[str],
    ignore_index: int | None,
    resized: Literal["teacher", "student"] = "teacher",
) -> Iterator[tuple[Tensor, Tensor, Tensor | None]]:
    """The same of several maps, one after the other.

    Args:
        student: an output with ``features``.
        teacher: the same.
        target: labels (N, H, W), or what the images show.
        features: names of the maps.
        ignore_index: label of pixels that are left out, where the target is labels.
        resized: whose maps go to the size of the other's.
    """
    for name in features:
        maps, theirs = feature_maps(student, teacher, name, resized)
        yield maps, theirs, counted(target, maps, ignore_index)
