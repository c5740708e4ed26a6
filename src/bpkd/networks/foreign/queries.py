"""Networks that answer by queries, a class and a mask each: their semantic map as logits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from bpkd.errors import UserError
from bpkd.networks.base import SegOutput, resize
from bpkd.networks.foreign.wrapper import ForeignNetwork
from bpkd.support.messages import one_line

_SMALLEST = 1e-8


def semantic_logits(classes: Tensor, masks: Tensor) -> Tensor:
    """The log of Mask2Former's semantic map (Cheng et al., CVPR 2022, as in MaskFormer, 2021).

    A class's score at a pixel is the sum over queries of the query's probability of the class
    (softmax, the last one being no object) times that of its mask (sigmoid). Losses want logits:
    they get the log of the scores, so that their softmax is the scores' shares.

    Args:
        classes: (N, Q, C + 1), logits of each query's class.
        masks: (N, Q, h, w), logits of its mask.

    Returns:
        (N, C, h, w), float32; scores below 1e-8 count as that.

    Example:
        >>> classes = torch.tensor([[[0.0, 0.0, -100.0]]])  # one query: either class, surely one
        >>> semantic_logits(classes, torch.zeros(1, 1, 1, 1)).exp().flatten()
        tensor([0.2500, 0.2500])
    """
    with torch.autocast(classes.device.type, enabled=False):
        probabilities = classes.float().softmax(dim=-1)[..., :-1]
        scores = torch.einsum("nqc,nqhw->nchw", probabilities, masks.float().sigmoid())
        return scores.clamp(min=_SMALLEST).log()


class QueryNetwork(ForeignNetwork):
    """Mask2Former, OneFormer, MaskFormer and EoMT of transformers, as maps of logits."""

    def set_task(self, tokens: list[int]) -> None:
        """OneFormer is told its task, "the task is semantic", as tokens."""
        numbers = torch.tensor(tokens, dtype=torch.float32).view(1, -1)
        self.register_buffer("task", numbers, persistent=False)

    def run(self, images: Tensor) -> Any:
        """Normalised images -> the classes and masks of the queries."""
        task = getattr(self, "task", None)
        if task is None:
            return self.network(images)
        return self.network(images, task_inputs=task.expand(len(images), -1))

    def read(self, output: Any) -> tuple[Tensor, Tensor | None]:
        """The queries' answers -> logits, and no auxiliary logits."""
        return semantic_logits(output.class_queries_logits, output.masks_queries_logits), None


class WindowedQueryNetwork(QueryNetwork):
    """EoMT, which takes images of one square size: others are resized, and cut into windows.

    As its own processor does it for semantic segmentation: the shorter side becomes the network's,
    windows stand side by side along the longer one, overlapping evenly, and where they overlap
    their scores are averaged. What is given is the map of the resized image.

    Attributes:
        side: of the images that it takes.
        whole: whether images are resized to the square instead, seen whole and distorted.
    """

    side = 0
    whole = False

    def forward(self, images: Tensor) -> SegOutput:
        """Images (N, 3, H, W), RGB in [0, 1] -> :class:`SegOutput`."""
        count, (height, width) = len(images), images.shape[-2:]
        factor = self.side / min(height, width)
        size = (self.side, self.side)
        if not self.whole:
            size = (max(round(height * factor), self.side), max(round(width * factor), self.side))
        images, long = resize(images, size), max(size)
        along = -2 if size[0] > size[1] else -1
        starts = window_starts(long, self.side)
        cuts = [images.narrow(along, start, self.side) for start in starts]
        output = super().forward(torch.cat(cuts))
        shares = [start / self.side for start in starts]
        maps = {
            name: joined(torch.split(value, count), shares, along)
            for name, value in output[1].items()
        }
        scores = joined(torch.split(output.logits.exp(), count), shares, along)
        return SegOutput(scores.clamp(min=_SMALLEST).log(), maps)


def window_starts(length: int, side: int) -> list[int]:
    """Where windows of a side begin that cover a length, their overlap the same everywhere.

    Example:
        >>> window_starts(64, 64), window_starts(100, 64), window_starts(129, 64)
        ([0], [0, 36], [0, 32, 65])
    """
    steps = -(-length // side) - 1
    return [step * (length - side) // steps for step in range(steps + 1)] if steps else [0]


def joined(windows: Sequence[Tensor], starts: Sequence[float], along: int) -> Tensor:
    """Maps of windows as one map, the mean where they overlap.

    Args:
        windows: (N, D, m, m) each.
        starts: where each begins, in windows.
        along: the axis, -2 or -1.

    Example:
        >>> one, two = torch.zeros(1, 1, 2, 2), torch.ones(1, 1, 2, 2)
        >>> joined([one, two], [0, 0.5], -1)[0, 0, 0]
        tensor([0.0000, 0.5000, 1.0000])
    """
    side = windows[0].shape[along]
    places = [round(start * side) for start in starts]
    shape = list(windows[0].shape)
    shape[along] = places[-1] + side
    total, count = windows[0].new_zeros(shape), windows[0].new_zeros(shape)
    for window, place in zip(windows, places, strict=True):
        total.narrow(along, place, side).add_(window)
        count.narrow(along, place, side).add_(1)
    return total / count


def task_tokens(library: Any, model: str | None, length: int) -> list[int]:
    """OneFormer's task as its tokenizer writes it; zeros for random weights, which know no task.

    Raises:
        UserError: the model's tokenizer cannot be loaded.
    """
    if model is None:
        return [0] * length
    try:
        tokenizer = library.AutoTokenizer.from_pretrained(model, trust_remote_code=False)
        text = "the task is semantic"
        tokens = tokenizer(text, padding="max_length", max_length=length, truncation=True)
        return list(tokens["input_ids"])
    except (OSError, ValueError, KeyError, ImportError) as error:
        raise UserError(
            f"{model}: its tokenizer cannot be loaded: {one_line(error)}; give task_inputs, the "
            "tokens of 'the task is semantic'"
        ) from error
