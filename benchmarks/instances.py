"""What a step of SOLOv2 takes, part by part, and what finding and measuring objects takes.

    python -m benchmarks.instances [--student solov2_light_r18] [--teacher solov2_r50]
        [--size 256 256] [--batch 2] [--steps 4] [--classes 5] [--device cpu]

Painted scenes, random weights. Times are medians of processor time (on a GPU: wall clock) of one
thread, after a first step that does not count. The last line of a loss is the whole step with it
over the teacher's forward pass and the student's own step. Random weights see nothing: for finding
objects the class scores are shifted so that each image has ``nms_pre`` candidates.
"""

from __future__ import annotations

import argparse
import inspect
import time
from collections.abc import Callable
from statistics import median
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.measuring import seconds
from bpkd import networks
from bpkd.datasets.instance_scenes import InstanceScenes
from bpkd.datasets.instance_transforms import gather, instance_transform
from bpkd.losses.instance.bpkd import InstanceBPKD
from bpkd.losses.instance.crosskd import InstanceCrossKD
from bpkd.losses.instance.cwd import InstanceCWD
from bpkd.losses.instance.kd import InstanceKD
from bpkd.losses.instance.membership import Membership
from bpkd.losses.instance.ranking import Ranking
from bpkd.losses.instance.scale_bands import ScaleBands
from bpkd.metrics.instances import InstanceMeasures
from bpkd.networks.base import InstanceOutput
from bpkd.networks.solov2.loss import solov2_loss
from bpkd.networks.solov2.predictions import predictions
from bpkd.networks.solov2.targets import assign_batch

LOSSES = (
    InstanceKD,
    InstanceCWD,
    InstanceBPKD,
    ScaleBands,
    Membership,
    Ranking,
    InstanceCrossKD,
)


class Timer:
    """Milliseconds of what is done, by name."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.clock = time.perf_counter if device.type == "cuda" else time.process_time
        self.found: dict[str, list[float]] = {}

    def __call__(self, name: str, work: Callable[[], Any]) -> Any:
        """Do it."""
        begin = seconds(self.device, self.clock)
        result = work()
        spent = 1000 * (seconds(self.device, self.clock) - begin)
        self.found.setdefault(name, []).append(spent)
        return result

    def median(self, name: str) -> float:
        """Of all but the first."""
        return median(self.found[name][1:] or self.found[name])


def step(timer: Timer, student: Any, teacher: nn.Module, scenes: Any, batch: int) -> None:
    """One student's step, and each loss beside it."""
    transform = instance_transform(None)
    images, targets = timer(
        "data", lambda: gather([transform(*scenes[i % len(scenes)]) for i in range(batch)])
    )
    images = images.to(timer.device)
    targets = [type(t)(*(None if v is None else v.to(timer.device) for v in t)) for t in targets]
    output = timer("student forward", lambda: student(images))
    assigned = timer("targets", lambda: assign_batch(targets, output, student.scale_ranges))
    own = timer("own loss", lambda: sum(solov2_loss(output, assigned).values()))
    timer("backward", lambda: own.backward(retain_graph=True))
    with torch.no_grad():
        taught = timer("teacher forward", lambda: teacher(images))
    for kind in LOSSES:
        loss = built(kind, student, teacher)
        total = timer(kind.__name__, lambda loss=loss: weighted(loss, output, taught, targets))
        own = solov2_loss(output, assigned)
        whole = total + own["mask"] + own["category"]
        # The student's own backward pass is made in any case: what the loss adds to it counts.
        timer(f"{kind.__name__} backward", lambda whole=whole: whole.backward(retain_graph=True))
    student.zero_grad(set_to_none=True)


def built(kind: Any, student: Any, teacher: Any) -> Any:
    """A loss of instances with what it asks for of the networks."""
    known = {
        "scale_ranges": student.scale_ranges,
        "teacher_scale_ranges": teacher.scale_ranges,
        "student_head": student.mask_head,
        "teacher_head": teacher.mask_head,
    }
    wanted = inspect.signature(kind).parameters
    return kind(**{name: value for name, value in known.items() if name in wanted})


def weighted(loss: Any, output: Any, taught: Any, targets: Any) -> Tensor:
    """A loss's terms at its own weights."""
    terms = loss(output, taught, targets)
    total: Tensor = sum(loss.weights[term] * value for term, value in terms.items())  # type: ignore[assignment]
    return total


@torch.inference_mode()
def finding(timer: Timer, student: nn.Module, scenes: Any, rounds: int) -> None:
    """An image's objects found and counted."""
    measures = {
        name: InstanceMeasures(len(scenes.classes), boundary=boundary)
        for name, boundary in (("mask AP", False), ("mask and boundary AP", True))
    }
    student.eval()
    for i in range(rounds):
        image, truth = scenes[i % len(scenes)]
        image = image[None].to(timer.device) / 255
        output = timer("forward, evaluation", lambda image=image: student(image))
        shifted = busy(output)
        size = [tuple(truth.masks.shape[1:])]
        found = timer("found, busy", lambda o=shifted, s=size: predictions(o, s))
        timer("found, as it is", lambda o=output, s=size: predictions(o, s))
        found = [each.only(torch.arange(min(30, len(each.labels)))) for each in found]
        found = [type(f)(*(None if v is None else v.cpu() for v in f)) for f in found]
        for name, each in measures.items():
            timer(f"{name}, counted", lambda each=each, f=found, t=truth: each.update(f, [t]))
    for name, each in measures.items():
        begin = time.process_time()
        each.compute()
        timer.found[f"{name}, computed"] = [1000 * (time.process_time() - begin) / rounds]


def busy(output: InstanceOutput, candidates: int = 500) -> InstanceOutput:
    """The same with class logits so high that about so many are above the threshold."""
    every = torch.cat([level.flatten() for level in output.category])
    least = every.topk(min(4 * candidates, len(every))).values[-1]
    shift = -2.0 - least  # sigmoid(-2) is 0.12
    return output._replace(category=[level + shift for level in output.category])


def main() -> None:
    """Print it."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--student", default="solov2_light_r18")
    parser.add_argument("--teacher", default="solov2_r50")
    parser.add_argument("--size", type=int, nargs=2, default=(256, 256))
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--classes", type=int, default=5)
    parser.add_argument("--device", default="cpu")
    given = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    device = torch.device(given.device)
    student, teacher = (
        getattr(networks, name)(given.classes, None).to(device)
        for name in (given.student, given.teacher)
    )
    teacher.eval().requires_grad_(False)
    scenes = InstanceScenes("train", size=given.size)
    timer = Timer(device)
    for _ in range(given.steps + 1):
        step(timer, student.train(), teacher, scenes, given.batch)
    finding(timer, student, scenes, given.steps + 1)
    print(f"{given.student} from {given.teacher}, {given.batch} x {given.size}, milliseconds")
    for name in timer.found:
        if name.removesuffix(" backward") not in {kind.__name__ for kind in LOSSES}:
            print(f"  {name}: {timer.median(name):.1f}")
    parts = ("student forward", "targets", "own loss", "backward")
    plain = sum(map(timer.median, parts)) + timer.median("teacher forward")
    for kind in LOSSES:
        name = kind.__name__
        more = timer.median(f"{name} backward") - timer.median("backward")
        whole = plain + timer.median(name) + max(0.0, more)
        print(
            f"  {name}: {timer.median(name):.1f}, backward {more:+.1f}; step x {whole / plain:.3f}"
        )


if __name__ == "__main__":
    main()
