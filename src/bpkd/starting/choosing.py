"""Crop, batch, iterations: chosen from the images, the classes and the machine, each with why."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from bpkd.starting.looking import ClassSize
from bpkd.starting.machine import Machine

Value = TypeVar("Value")
_THIN = 16.0  # pixels; smaller regions get lost when an image shrinks


@dataclass(frozen=True)
class Chosen(Generic[Value]):
    """A value of a recipe, and why."""

    value: Value
    why: str


@dataclass(frozen=True)
class Choice:
    """What a recipe says of training.

    Attributes:
        crop: (height, width).
        scale: range of the random resizing.
        batch: images an iteration.
        iterations: of the student; a teacher gets the same.
        workers: processes that load.
    """

    crop: Chosen[tuple[int, int]]
    scale: Chosen[tuple[float, float]]
    batch: Chosen[int]
    iterations: Chosen[int]
    workers: int


def choose(
    size: tuple[int, int],
    classes: Sequence[ClassSize],
    names: Sequence[str],
    training: int,
    machine: Machine,
) -> Choice:
    """What to train with.

    Args:
        size: median (H, W) of the images.
        classes: how much of each class there is.
        names: of the classes.
        training: images to train on.
        machine: to train on.

    >>> street = [ClassSize(90, 0.6, 200.0), ClassSize(70, 0.01, 14.0)]
    >>> choice = choose((360, 480), street, ["road", "pole"], 367, Machine(2))
    >>> choice.crop.value, choice.scale.value, choice.batch.value, choice.iterations.value
    ((192, 192), (0.75, 1.5), 6, 600)
    """
    most = _longest(machine)
    crop = (_side(size[0], most), _side(size[1], most))
    seen = [(each.side, name) for each, name in zip(classes, names, strict=True) if each.images]
    thinnest = min(seen, default=(math.inf, ""))
    batch = _batch(machine, crop, training)
    return Choice(
        Chosen(crop, _why_crop(size, crop, machine)),
        _scale(size, crop, thinnest),
        batch,
        _iterations(machine, training, batch.value),
        min(8, machine.cores - 1) if machine.gpu else min(1, machine.cores - 1),
    )


def _longest(machine: Machine) -> int:
    """The longest side of a crop that the machine trains on in reasonable time."""
    if not machine.gpu:
        return 192
    return 512 if machine.memory >= 15 else 384


def _side(side: int, most: int) -> int:
    """A multiple of 32, as networks shrink by that: the side itself where it is little longer."""
    if side <= most * 4 / 3:
        return max(32, math.ceil(side / 32) * 32)
    return most


def _why_crop(size: tuple[int, int], crop: tuple[int, int], machine: Machine) -> str:
    height, width = size
    if crop[0] >= height and crop[1] >= width:
        return f"whole images: half of them are {width}x{height} (width x height) or smaller"
    reason = "more is slow without a GPU" if not machine.gpu else "more needs much memory"
    return f"a window of the images, {width}x{height} (width x height) in the middle; {reason}"


def _scale(
    size: tuple[int, int], crop: tuple[int, int], thinnest: tuple[float, str]
) -> Chosen[tuple[float, float]]:
    side, name = thinnest
    if side < _THIN:
        return Chosen((0.75, 1.5), f"{name} fills about {side:.0f}x{side:.0f} pixels of an image: "
                      "shrinking would lose it")  # fmt: skip
    times = min(size[0] / crop[0], size[1] / crop[1])
    if times > 2:
        least = max(0.25, round(1 / times, 2))
        return Chosen((least, 1.0), f"images are {times:.1f} times as large as the crop: shrunk, "
                      "a crop shows what surrounds an object")  # fmt: skip
    return Chosen((0.5, 2.0), "no class is so small that shrinking would lose it")


def _batch(machine: Machine, crop: tuple[int, int], training: int) -> Chosen[int]:
    if machine.gpu:
        # An estimate for a ResNet-101 at 512x512 in training: 2.5 GiB an image.
        share = crop[0] * crop[1] / 512**2
        batch = int(min(16, max(2, (machine.memory - 2) / (2.5 * share))))
        why = f"an estimate of what fits into {machine.memory:.0f} GiB; halve it if it does not"
    else:
        batch, why = 6, "small, for there is no GPU"
    if training < 2 * batch:
        batch, why = max(2, training // 2), f"there are only {training} images to train on"
    return Chosen(batch, why)


def _iterations(machine: Machine, training: int, batch: int) -> Chosen[int]:
    rounds, least, most = (80, 2000, 40_000) if machine.gpu else (12, 200, 600)
    wanted = math.ceil(rounds * training / batch)
    count = min(max(wanted, least), most)
    seen = count * batch / max(training, 1)
    limit = "" if machine.gpu else "; without a GPU that is a beginning: more is better"
    return Chosen(count, f"each of the {training:,} images is seen {seen:.0f} times{limit}")
