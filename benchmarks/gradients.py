"""How hard each term of the loss pulls, beside the task's own loss.

    python -m benchmarks.gradients RECIPE [KEY=VALUE ...] [--batches 8] [--student RUN]

Prints, for each term at weight 1, the norm of its gradient with respect to the student's logits
as a multiple of the cross-entropy's: the mean over some training batches. The student has its
initial weights, or those of a run.
"""

from __future__ import annotations

import argparse
from collections import defaultdict

import torch

from bpkd import load
from bpkd.datasets.building import build_data
from bpkd.datasets.loading import train_loader
from bpkd.datasets.transforms import training_transform
from bpkd.recipe.loading import load_recipe
from bpkd.training.building import build_distiller


def pulls(
    recipe_name: str, overrides: list[str], batches: int, run: str | None
) -> dict[str, float]:
    """Each term's mean gradient norm over that of the segmentation loss."""
    recipe = load_recipe(recipe_name, overrides)
    data = build_data(recipe, "train")
    distiller = build_distiller(recipe, data)
    if run is not None:
        distiller.student.load_state_dict(load(run).state_dict())
    assert distiller.teacher is not None
    distiller.teacher.eval()
    distiller.student.train()
    transform = training_transform(ignore_index=data.ignore_index, **recipe.augment.model_dump())
    loader = train_loader(data, transform, seed=1, batch_size=recipe.batch_size, iterations=batches)
    norms: dict[str, float] = defaultdict(float)
    for images, labels in loader:
        student = distiller.student(images)
        with torch.no_grad():
            teacher = distiller.teacher(images)
        terms = {"segmentation": distiller.task.own_loss(student, labels.long())[1]["segmentation"]}
        for name, loss in distiller.losses.items():
            for term, value in loss(student, teacher, labels.long()).items():
                terms[f"{name}.{term}"] = value
        for name, value in terms.items():
            (gradient,) = torch.autograd.grad(value, student.logits, retain_graph=True)
            norms[name] += gradient.norm().item() / batches
    return {name: norm / norms["segmentation"] for name, norm in norms.items()}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("recipe")
    parser.add_argument("overrides", nargs="*")
    parser.add_argument("--batches", type=int, default=8)
    parser.add_argument("--student")
    given = parser.parse_args()
    for name, ratio in pulls(given.recipe, given.overrides, given.batches, given.student).items():
        print(f"{name:24s} {ratio:8.3f}")


if __name__ == "__main__":
    main()
