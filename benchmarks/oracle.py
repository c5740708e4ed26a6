"""Which of the teacher's knowledge the student lacks: AP with a part of its results replaced.

    python -m benchmarks.oracle STUDENT_RUN TEACHER_RUN [--split test] [KEY=VALUE ...]

Nothing is trained. Each of the student's objects is paired with one of the teacher's of its class,
the one of the largest IoU, at least 0.5, the best scores first. Of these pairs the student's result
gets the teacher's mask in a band along both outlines (``scaled_bands``), or everywhere else, or the
whole mask, or the score; or what only the teacher found is added. The last line is of the true
masks at the quarter of the resolution at which SOLOv2 has them: more there is not to reach.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from bpkd.cli.common import bar
from bpkd.datasets.building import build_data
from bpkd.datasets.instances import Instances
from bpkd.datasets.transforms import rescaled_size, to_float
from bpkd.inference.tasks import instance_task
from bpkd.losses.instance.scale_bands import scaled_bands
from bpkd.metrics.instances import InstanceMeasures
from bpkd.networks.solov2.predictions import enlarged
from bpkd.networks.solov2.targets import padded_masks, reduced
from bpkd.recipe.instance import InstanceRecipe
from bpkd.recipe.loading import load_recipe
from bpkd.runs.loading import load

COLUMNS = ("AP", "AP50", "AP75", "APs", "APm", "APl")


def pairs(student: Instances, teacher: Instances, least: float = 0.5) -> Iterator[tuple[int, int]]:
    """Which of the student's objects is which of the teacher's.

    >>> mask = torch.tensor([[[1, 1, 0]], [[0, 0, 1]]]).bool()
    >>> one = Instances.of(mask[:1], torch.tensor([0]), torch.tensor([0.5]))
    >>> two = Instances.of(mask.flip(0), torch.tensor([0, 0]), torch.tensor([0.9, 0.8]))
    >>> list(pairs(one, two))
    [(0, 1)]
    """
    if not len(student.labels) or not len(teacher.labels):
        return
    a, b = (each.masks.flatten(1).float() for each in (student, teacher))
    both = a @ b.T
    iou = both / (a.sum(1)[:, None] + b.sum(1) - both).clamp(min=1)
    iou[student.labels[:, None] != teacher.labels] = 0
    assert student.scores is not None
    for i in student.scores.argsort(descending=True, stable=True).tolist():
        j = int(iou[i].argmax())
        if iou[i, j] >= least:
            yield i, j
            iou[:, j] = 0


def replaced(student: Instances, teacher: Instances) -> dict[str, Instances]:
    """The student's results with each part of the teacher's."""
    found = list(pairs(student, teacher))
    mine = torch.tensor([i for i, _ in found], dtype=torch.int64)
    theirs = torch.tensor([j for _, j in found], dtype=torch.int64)
    own, taught = student.masks[mine], teacher.masks[theirs]
    band = scaled_bands(own) | scaled_bands(taught)
    assert student.scores is not None and teacher.scores is not None
    scores = student.scores.clone()
    scores[mine] = teacher.scores[theirs]
    alone = torch.ones(len(teacher.labels), dtype=torch.bool)
    alone[theirs] = False
    return {
        "student": student,
        "outline band": _with(student, mine, torch.where(band, taught, own)),
        "interior": _with(student, mine, torch.where(band, own, taught)),
        "whole mask": _with(student, mine, taught),
        "score": student._replace(scores=scores),
        "mask and score": _with(student._replace(scores=scores), mine, taught),
        "what it missed": _joined(student, teacher.only(alone)),
        "teacher": teacher,
    }


def at_stride(truth: Instances, size: Sequence[int] | None) -> Instances:
    """The true objects, all found for certain, with masks at stride 4 of the network's input."""
    own = (int(truth.masks.shape[1]), int(truth.masks.shape[2]))
    h, w = own if size is None else rescaled_size(own, size)
    masks = truth.masks
    if (h, w) != own:
        masks = F.interpolate(masks[None].float(), (h, w), mode="nearest-exact")[0].bool()
    masks = padded_masks(masks, (-(-h // 32) * 32, -(-w // 32) * 32))
    found = enlarged(reduced(masks).float(), (h, w), own)
    kept = ~truth.crowd
    return Instances.of(found[kept], truth.labels[kept], torch.ones(int(kept.sum())))


def _with(student: Instances, which: Tensor, masks: Tensor) -> Instances:
    every = student.masks.clone()
    every[which] = masks
    return student._replace(masks=every)


def _joined(first: Instances, second: Instances) -> Instances:
    parts = [None if a is None else torch.cat([a, b]) for a, b in zip(first, second, strict=True)]  # type: ignore[list-item]
    return Instances(*parts)  # type: ignore[arg-type]


def main() -> None:
    """Print it."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("student")
    parser.add_argument("teacher")
    parser.add_argument("--split", default="test")
    parser.add_argument("overrides", nargs="*", help="KEY=VALUE")
    given = parser.parse_args()
    recipe = load_recipe(f"{given.student}/recipe.yaml", given.overrides)
    assert isinstance(recipe, InstanceRecipe), "a run on instances"
    data = build_data(recipe, given.split)
    count, limits = len(data.classes), recipe.evaluation.size_limits
    task, networks = instance_task(recipe, count), [load(given.student), load(given.teacher)]
    measures: dict[str, InstanceMeasures] = {}
    for index in bar(range(len(data)), "finding"):
        image, truth = data[index]
        seen: list[Any] = [task.predict(net, to_float(image)[None], [truth])[0] for net in networks]
        coarse = {"true masks at stride 4": at_stride(truth, task.size)}
        for name, each in (replaced(*seen) | coarse).items():
            own = measures.setdefault(
                name, InstanceMeasures(count, size_limits=limits, boundary=False)
            )
            own.update([each], [truth])
    print("| the student's results with the teacher's | " + " | ".join(COLUMNS) + " |")
    print("| --- |" + " ---: |" * len(COLUMNS))
    for name, own in measures.items():
        scores = own.compute()
        print(f"| {name} | " + " | ".join(f"{100 * scores[c]:.1f}" for c in COLUMNS) + " |")


if __name__ == "__main__":
    main()
