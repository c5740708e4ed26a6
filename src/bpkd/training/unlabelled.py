"""What a student learns from images without labels."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from bpkd.datasets.unlabelled import UNLABELLED, Mixed, Unlabelled
from bpkd.errors import UserError
from bpkd.networks.base import SegOutput, resize
from bpkd.recipe.schema import Recipe


def own_labels(labels: Tensor, ignore_index: int) -> Tensor:
    """Labels as the student's own loss takes them: what nobody labelled is ignored.

    Example:
        >>> own_labels(torch.tensor([1, UNLABELLED, 255]), 255).tolist()
        [1, 255, 255]
    """
    return labels.masked_fill(labels == UNLABELLED, ignore_index)


def taught_labels(labels: Tensor, teacher: SegOutput) -> Tensor:
    """Labels as distillation takes them: the teacher's prediction, where nobody labelled.

    So outlines there are those of ``edges: teacher``, and every other loss that asks for classes
    has some; what somebody chose to ignore stays ignored.

    Args:
        labels: (N, H, W), UNLABELLED where there are none.
        teacher: its output for these images.

    Example:
        >>> logits = torch.tensor([[[[5.0, 0.0]], [[0.0, 5.0]]]])
        >>> taught_labels(torch.tensor([[[UNLABELLED, 0]]]), SegOutput(logits, {})).tolist()
        [[[0, 0]]]
    """
    predicted = resize(teacher.logits.detach(), labels.shape[-2:]).argmax(dim=1)
    return torch.where(labels == UNLABELLED, predicted, labels)


def check_unlabelled(recipe: Recipe, data: Any, losses: nn.ModuleDict) -> None:
    """Refuse images without labels where nobody says what is in them.

    Args:
        recipe: of the run.
        data: to train on; where all of it is unlabelled, no loss may first learn on labels.
        losses: of the run, by name.

    Raises:
        UserError: there is no teacher, or a loss wants labels; names it.
    """
    if not recipe.losses:
        raise UserError(
            f"data: {recipe.data.use} and data.unlabelled have images without labels, which "
            "teach a student nothing by themselves; add teacher and losses"
        )
    for name, loss in losses.items() if isinstance(data, Unlabelled) else ():
        if getattr(loss, "prepare_iters", 0):
            raise UserError(
                f"losses.{name}: it first learns on labelled images, and none is labelled; give "
                "the file that it learnt in another run, or take the loss out"
            )


def described(recipe: Recipe, drawn: Mixed) -> str:
    """What happens with them, in a line."""
    labelled = "none is labelled" if drawn.share == 1 else f"{len(drawn.labelled):,} are labelled"
    return (
        f"unlabelled: {len(drawn.unlabelled):,} images, {float(drawn.share):.3g} of each batch "
        f"({labelled}); there the teacher's prediction stands for labels in "
        f"{', '.join(recipe.losses)}"
    )
