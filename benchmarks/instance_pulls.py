"""How hard each term of an instance loss pulls, beside the student's own loss.

    python -m benchmarks.instance_pulls RECIPE [KEY=VALUE ...] [--batches 8] [--student RUN]

Prints a line a term: its value, and the norm of its gradient with respect to the student's
parameters at weight 1, as a multiple of the own loss's (mask and category together); its weight,
and the same at that weight. Then the cosine of the two gradients: below 0, the term works against
the own loss. All are means over some training batches of the recipe. The student has its initial
weights, or those of a run. Every loss of ``bpkd.losses.instance`` is measured with its defaults,
then the recipe's own.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.instances import LOSSES, built
from bpkd import load
from bpkd.datasets.building import build_data
from bpkd.datasets.loading import train_loader
from bpkd.recipe.loading import load_recipe
from bpkd.training.building import build_distiller


@dataclass
class Term:
    """Means over batches.

    Attributes:
        value: of the term.
        pull: norm of its gradient over that of the own loss's.
        cosine: of both gradients.
        weight: by default.
    """

    value: float = 0.0
    pull: float = 0.0
    cosine: float = 0.0
    weight: float = 1.0


def pulls(name: str, overrides: list[str], batches: int, run: str | None) -> dict[str, Term]:
    """Each term, and the own loss's parts."""
    recipe = load_recipe(name, overrides)
    data = build_data(recipe, "train")
    distiller = build_distiller(recipe, data)
    student, teacher, task = distiller.student, distiller.teacher, distiller.task
    assert teacher is not None
    if run is not None:
        student.load_state_dict(load(run).state_dict())
    teacher.eval()
    student.train()
    losses = {kind.__name__: built(kind, student, teacher) for kind in LOSSES}
    losses |= dict(distiller.losses.items())
    loader = train_loader(
        data,
        task.transform(recipe.augment),
        seed=1,
        batch_size=recipe.batch_size,
        iterations=batches,
        gather=task.gather,
    )
    parameters = [p for p in student.parameters() if p.requires_grad]
    found: dict[str, Term] = defaultdict(Term)

    def gradient(value: Tensor) -> Tensor:
        parts = torch.autograd.grad(value, parameters, retain_graph=True, allow_unused=True)
        flat = [
            torch.zeros_like(p).flatten() if g is None else g.flatten()
            for p, g in zip(parameters, parts, strict=True)
        ]
        return torch.cat(flat)

    for images, target in loader:
        output = student(images)
        with torch.no_grad():
            taught = teacher(images)
        own, parts = task.own_loss(output, target)
        wanted = gradient(own)
        values = {f"own {key}": (value, 1.0) for key, value in parts.items()}
        for loss_name, loss in losses.items():
            weights: Any = loss.weights
            for term, value in loss(output, taught, target).items():
                values[f"{loss_name}.{term}"] = (value, weights[term])
        for key, (value, weight) in values.items():
            given, term = gradient(value), found[key]
            term.value += value.item() / batches
            term.pull += (given.norm() / wanted.norm()).item() / batches
            term.cosine += nn.functional.cosine_similarity(given, wanted, dim=0).item() / batches
            term.weight = weight
    return found


def main() -> None:
    """Print it."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("recipe")
    parser.add_argument("overrides", nargs="*", help="KEY=VALUE")
    parser.add_argument("--batches", type=int, default=8)
    parser.add_argument("--student", help="a run whose weights the student has")
    given = parser.parse_args()
    torch.manual_seed(0)
    found = pulls(given.recipe, given.overrides, given.batches, given.student)
    print("| term | value | pull at weight 1 | weight | pull | cosine |")
    print("| --- | ---: | ---: | ---: | ---: | ---: |")
    for name, term in found.items():
        print(
            f"| {name} | {term.value:.3g} | {term.pull:.2g} | {term.weight:g} "
            f"| {term.weight * term.pull:.2g} | {term.cosine:+.2f} |"
        )


if __name__ == "__main__":
    main()
