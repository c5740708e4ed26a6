"""Networks that answer by queries, a class and a mask each: their semantic map as logits."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from bpkd.errors import UserError
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


def task_tokens(library: Any, model: str | None, length: int) -> list[int]:
    """OneFormer's task as its tokenizer writes it; zeros for random weights, which know no task.

    Raises:
        UserError: the model's tokenizer cannot be loaded.
    """
    if model is None:
        return [0] * length
    try:
        tokenizer = library.AutoTokenizer.from_pretrained(model)
        text = "the task is semantic"
        tokens = tokenizer(text, padding="max_length", max_length=length, truncation=True)
        return list(tokens["input_ids"])
    except (OSError, ValueError, KeyError, ImportError) as error:
        raise UserError(
            f"{model}: its tokenizer cannot be loaded: {one_line(error)}; give task_inputs, the "
            "tokens of 'the task is semantic'"
        ) from error
