"""How hard each term of the loss pulls, beside the task's own loss.

    python -m benchmarks.gradients RECIPE [KEY=VALUE ...] [--batches 8] [--student RUN]
        [--settings bpkd]

Prints a line a term: its value; the norm of its gradient with respect to the student's logits at
weight 1, as a multiple of the cross-entropy's; its weight, and the same at that weight. Then how
much a number counts that is added to all logits of a pixel, which changes no prediction:
``centred``, by how much the value changes when each pixel's mean is taken off the logits of both
networks, and ``along it``, the share of the squared gradient that lies along such a number. All
are means over some training batches. The student has its initial weights, or those of a run.
``--settings bpkd`` adds BPKD as published with each reduction and each filter of the logits.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from dataclasses import dataclass
from typing import Any, get_args

import torch
from torch import Tensor, nn

from bpkd import load
from bpkd.datasets.building import build_data
from bpkd.datasets.loading import train_loader
from bpkd.datasets.transforms import training_transform
from bpkd.losses.bpkd import BPKD, published
from bpkd.losses.edge_reduction import Reduction
from bpkd.networks.base import SegOutput
from bpkd.recipe.loading import load_recipe
from bpkd.training.building import build_distiller


@dataclass
class Term:
    """Means over batches.

    Attributes:
        pull: norm of the gradient with respect to the student's logits.
        value: of the loss; ``centred``: with each pixel's mean taken off all logits.
        along: the share of the squared gradient along a number added to all logits of a pixel.
        weight: of the recipe.
    """

    pull: float = 0.0
    value: float = 0.0
    centred: float = 0.0
    along: float = 0.0
    weight: float = 1.0


def centred(out: SegOutput) -> SegOutput:
    """The same output without each pixel's mean over the classes."""
    return SegOutput(out.logits - out.logits.mean(dim=1, keepdim=True), out.features, out.auxiliary)


def bpkd_settings() -> dict[str, nn.Module]:
    """BPKD as published, with each reduction, then with other filters of the logits."""
    shared: dict[str, Any] = {"class_weights": 2.0, "pre_mask": True}
    named = {name: {"reduction": name} for name in get_args(Reduction)} | {
        "centred": {"reduction": "mean", "pre_mask": "centred"},
        "bare": {"reduction": "mean", "pre_mask": False},
    }
    found: dict[str, nn.Module] = {}
    for name, own in named.items():
        found[name] = loss = BPKD(**(shared | own))
        loss.weights = published().weights
    return found


def pulls(
    recipe_name: str, overrides: list[str], batches: int, run: str | None, settings: bool
) -> dict[str, Term]:
    """Each term, the task's own as ``segmentation``."""
    recipe = load_recipe(recipe_name, overrides)
    data = build_data(recipe, "train")
    distiller = build_distiller(recipe, data)
    if run is not None:
        distiller.student.load_state_dict(load(run).state_dict())
    assert distiller.teacher is not None
    distiller.teacher.eval()
    distiller.student.train()
    losses = dict(distiller.losses.items()) | (bpkd_settings() if settings else {})
    transform = training_transform(ignore_index=data.ignore_index, **recipe.augment.model_dump())
    loader = train_loader(data, transform, seed=1, batch_size=recipe.batch_size, iterations=batches)
    found: dict[str, Term] = defaultdict(Term)

    def add(name: str, value: Tensor, without: float, logits: Tensor) -> None:
        (gradient,) = torch.autograd.grad(value, logits, retain_graph=True)
        constant = gradient.sum(dim=1).square().sum() / gradient.shape[1]
        term = found[name]
        term.pull += gradient.norm().item() / batches
        term.value += value.item() / batches
        term.centred += without / batches
        term.along += (constant / gradient.square().sum()).item() / batches

    for images, labels in loader:
        target = labels.long()
        student = distiller.student(images)
        with torch.no_grad():
            teacher = distiller.teacher(images)
        own = distiller.task.own_loss(student, target)[1]["segmentation"]
        add("segmentation", own, own.item(), student.logits)
        for name, loss in losses.items():
            with torch.no_grad():
                without = loss(centred(student), centred(teacher), target)
            for term, value in loss(student, teacher, target).items():
                add(f"{name}.{term}", value, without[term].item(), student.logits)
                found[f"{name}.{term}"].weight = loss.weights[term]
    return found


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("recipe")
    parser.add_argument("overrides", nargs="*")
    parser.add_argument("--batches", type=int, default=8)
    parser.add_argument("--student")
    parser.add_argument("--settings", choices=["bpkd"])
    given = parser.parse_args()
    terms = pulls(
        given.recipe, given.overrides, given.batches, given.student, given.settings is not None
    )
    own = terms["segmentation"].pull
    head = f"{'term':24s}{'value':>10s}{'pull':>10s}{'weight':>10s}{'so':>10s}"
    print(f"{head}   centred  along it")
    for name, term in terms.items():
        pull = term.pull / own
        change = term.centred / term.value - 1 if term.value else 0.0
        print(
            f"{name:24s}{term.value:10.4f}{pull:10.3f}{term.weight:10.1f}{pull * term.weight:10.1f}"
            f"{change:+10.0%}{term.along:10.0%}"
        )


if __name__ == "__main__":
    main()
