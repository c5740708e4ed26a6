"""How good, how large and how fast a run's network is."""

from __future__ import annotations

import time
from collections.abc import Callable
from math import isnan
from pathlib import Path
from statistics import median
from typing import Any

import torch
from torch import nn
from torch.utils.data import DataLoader

from bpkd.datasets.building import build_data
from bpkd.datasets.loading import eval_loader
from bpkd.errors import UserError
from bpkd.inference.image_counts import ImageCounts, keep_counts, kept_counts
from bpkd.inference.kept import asked, keep, kept
from bpkd.inference.predictor import device_of, kept_at, predictor
from bpkd.inference.tasks import build_task
from bpkd.networks.class_map import ClassMapped, aligned
from bpkd.networks.files.network import FileNetwork
from bpkd.runs.environment import fingerprint
from bpkd.support.memory import enough_memory
from bpkd.tasks import Scores, Task

_LESS_MEMORY = (
    "take windows (evaluation.mode=slide evaluation.window=[512,512] evaluation.stride=[342,342]) "
    "or evaluation.batch_size=1"
)


def evaluate(
    run: str | Path,
    *overrides: str,
    split: str = "test",
    checkpoint: str = "student",
    progress: Callable[[Any], Any] = iter,
    say: Callable[[str], Any] = print,
    counts: bool = False,
) -> Scores:
    """Measure what a run trained, or a network's file, on a split of its data set.

    The numbers are kept in the run's folder as ``evaluation_SPLIT.json``, of a file beside it, with
    a fingerprint of all that was read: weights, images, label maps, settings, code. The same
    question is answered from there the next time; an image or a label map that changed makes it
    another one.

    Args:
        run: the run's folder, or a file that ``bpkd export`` wrote.
        overrides: ``key=value``, dotted, e.g. ``data.root=...`` or ``evaluation.mode=slide``.
        split: train, val or test.
        checkpoint: ``student`` (the weights at the end), ``best`` (on val) or ``last``.
        progress: wraps the loader, e.g. to draw a bar.
        say: told in a line where the numbers are kept ones, or cannot be kept.
        counts: measure again unless each image's counts are kept as well
            (``evaluation_SPLIT.npz``, see :mod:`bpkd.inference.image_counts`).

    Returns:
        Fractions by name (``mIoU``, ``mAcc``, ``trimap_mIoU@3``, ``boundary_mIoU`` ..., lists by
        class), ``parameters``, and ``milliseconds`` an image (the median, on this machine).

    Raises:
        UserError: no such run, checkpoint or split.
    """
    source = predictor(run, overrides, checkpoint)
    recipe, stored = source.recipe, kept_at(source.path, split)
    data = build_data(recipe, split)
    network = aligned(source.network, data.classes, source.classes, str(run))
    task, size = build_task(recipe, data), recipe.evaluation.batch_size
    question = asked(network, data, recipe, task)
    known = kept(stored, question, task.best_by, len(data.classes))
    by_image = stored.with_suffix(".npz")
    if known is not None and (not counts or kept_counts(by_image, question)):
        say(f"{run}: kept from before ({stored}): weights, data and settings are the same")
        return known
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    loader = eval_loader(data, batch_size=size, workers=recipe.workers, gather=task.gather)
    with enough_memory(_LESS_MEMORY):
        images = ImageCounts()
        scores = measure(network.to(device), loader, task, progress, images)
    parts = images.arrays()
    if isinstance(network, ClassMapped):  # lists by class stand in the run's own order
        order = _order_of(network)
        scores = {name: _ordered(value, order) for name, value in scores.items()}
        parts = {name: array[..., order] for name, array in parts.items()}
    if isnan(scores[task.best_by]):
        raise UserError(
            f"no {task.counted[0]} of the split {split!r} has {task.counted[1]}, so nothing can be "
            "measured on it; take another, e.g. data.test=val"
        )
    if why := keep(stored, question, scores):
        say(f"not kept for the next time: {why}")
    else:
        keep_counts(by_image, question, parts)
    return scores


def _order_of(network: ClassMapped) -> list[int]:
    """Where the network's own classes stand among the data set's, where that is another order."""
    place = {group[0]: index for index, group in enumerate(network.groups)}
    return [place[index] for index in range(len(place))]


def _ordered(value: Any, order: list[int]) -> Any:
    """A list by class, or a matrix, in another order; anything else as it is."""
    if not isinstance(value, list):
        return value
    return [_ordered(value[index], order) for index in order]


def measure(
    network: nn.Module,
    loader: DataLoader[Any],
    task: Task,
    progress: Callable[[Any], Any] = iter,
    images: ImageCounts | None = None,
) -> Scores:
    """Run a network over a loader; see :func:`evaluate` for what comes back.

    Args:
        network: images (N, 3, H, W) in [0, 1] -> the task's output.
        loader: batches of images and targets.
        task: how outputs become predictions, and what measures these; reset first.
        progress: wraps the loader, e.g. to draw a bar.
        images: told what each image adds.
    """
    device = device_of(network)
    network.eval()
    measures: Any = task.measures.to(device)
    measures.reset()
    times = []
    for inputs, target in progress(loader):
        inputs = inputs.to(device)  # noqa: PLW2901
        _synchronise(device)
        begin = time.perf_counter()
        prediction = task.predict(network, inputs, target)
        _synchronise(device)
        times.append((time.perf_counter() - begin) / len(inputs))
        truth = task.target(target, device)
        if images is None:
            measures.update(prediction, truth)
        else:
            images.update(measures, prediction, truth)
    scores: Scores = measures.compute()
    if (matrix := getattr(measures, "confusion", None)) is not None:
        scores["confusion"] = matrix.tolist()
    scores["parameters"] = parameter_count(network)
    scores["milliseconds"] = 1000 * median(times)
    return scores


def inference_parameters(network: nn.Module) -> list[nn.Parameter]:
    """The parameters that inference uses: all but an auxiliary head's."""
    if isinstance(network, ClassMapped):
        network = network.network
    auxiliary = getattr(network, "auxiliary_prefix", "auxiliary_head.")
    return [p for name, p in network.named_parameters() if not name.startswith(auxiliary)]


def parameter_count(network: nn.Module) -> int:
    """How many numbers inference uses that were learned; a file says it itself."""
    files = [each for each in network.modules() if isinstance(each, FileNetwork)]
    if files:
        return files[0].description.parameters
    return sum(p.numel() for p in inference_parameters(network))


def _synchronise(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


__all__ = ["evaluate", "fingerprint", "inference_parameters", "measure", "parameter_count"]
