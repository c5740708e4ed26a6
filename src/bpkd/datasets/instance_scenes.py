"""The embedded instance data set: shapes painted from a seed, with masks exact to the pixel.

Objects of 8 to 200 pixels, of five classes that shape and pattern tell apart. They touch and cover
one another, small ones lie on large ones. The larger an object, the more often it has what makes
large objects hard: a bar across that splits it, other objects on it, an elongated shape.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from bpkd.datasets.instances import Instances
from bpkd.datasets.painting.backdrop import expose
from bpkd.datasets.painting.drawing import UNITS, Canvas, Colour, uniform
from bpkd.datasets.painting.things import (
    SHAPES,
    Plan,
    Pose,
    direction,
    paint_ground,
    paint_plank,
    plan_thing,
)
from bpkd.datasets.scenes import MIN_SIDE, SPLITS
from bpkd.errors import UserError

PALETTE = [(225, 40, 45), (45, 70, 200), (250, 200, 60), (30, 150, 90), (205, 60, 180)]
# Extents in pixels, and how many of ten objects have such a one.
_EXTENTS = ((8, 32, 4), (32, 96, 3), (96, 200, 3))
_LARGEST = 200
_LEAST_LEFT = 0.3  # share of its pixels that every object keeps
_FEWEST = 20  # pixels of an instance


class InstanceScenes(Dataset[tuple[Tensor, Instances]]):
    """Generated scenes of countable objects, a pure function of (seed, split, index, size).

    Every bit is the same on every machine. A scene is painted whenever it is asked for and none is
    kept. An object keeps at least 30 % of its pixels in sight, and 20 pixels.

    Args:
        split: "train", "val" or "test"; their scenes are disjoint.
        size: rows and columns, at least 32 each; no object's extent is above 0.8 of the lesser.
        count: number of scenes; None for the split's own (400, 60, 120).
        objects: least and greatest number of objects that are placed.
        seed: another number gives another data set.
        extents: least and greatest extent of an object in pixels, all between alike likely; None
            for 8 to 200, more of the small ones.

    Attributes:
        classes: pill, plate, star, ring, hook.
        palette: a colour for each.

    Raises:
        UserError: an argument is out of its range.

    >>> scenes = InstanceScenes("val", size=(96, 128))
    >>> image, instances = scenes[3]
    >>> image.shape, instances.masks.shape[1:], scenes.name(3)
    (torch.Size([3, 96, 128]), torch.Size([96, 128]), 'things-val-00003')
    """

    task: ClassVar[str] = "instance"
    splits: ClassVar[tuple[str, ...]] = tuple(SPLITS)

    def __init__(
        self,
        split: str = "train",
        size: Sequence[int] = (256, 256),
        count: int | None = None,
        objects: Sequence[int] = (4, 14),
        seed: int = 0,
        extents: Sequence[float] | None = None,
    ) -> None:
        if split not in SPLITS:
            raise UserError(f"split {split!r} is unknown: expected one of {', '.join(SPLITS)}")
        if isinstance(size, int) or len(size) != 2 or min(size) < MIN_SIDE:
            raise UserError(f"size {size!r}: expected (rows, columns), each at least {MIN_SIDE}")
        if count is not None and count < 1:
            raise UserError(f"count is {count}: expected at least 1, or none for all")
        if len(objects) != 2 or not 1 <= objects[0] <= objects[1] <= 200:
            raise UserError(f"objects {objects!r}: expected (least, greatest) from 1 to 200")
        if seed < 0:
            raise UserError(f"seed is {seed}: expected a whole number from 0")
        if extents is not None and not (len(extents) == 2 and 8 <= extents[0] <= extents[1]):
            raise UserError(f"extents {extents!r}: expected (least, greatest) from 8 pixels")
        self.extents = _EXTENTS if extents is None else ((extents[0], extents[1], 1),)
        self.split, self.size, self.seed = split, (int(size[0]), int(size[1])), seed
        self.count = SPLITS[split] if count is None else count
        self.objects = (objects[0], objects[1])
        self.classes, self.palette = list(SHAPES), list(PALETTE)

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> tuple[Tensor, Instances]:
        if not 0 <= index < self.count:
            raise IndexError(f"scene {index} of {self.count}")
        key = [self.seed, list(SPLITS).index(self.split), index, 1]
        rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence(key)))
        return paint_scene(rng, self.size, self.objects, self.extents)

    def name(self, index: int) -> str:
        """The scene's name, e.g. for the file that its prediction is saved in."""
        return f"things-{self.split}-{index:05d}"


def paint_scene(
    rng: np.random.Generator,
    size: tuple[int, int],
    objects: tuple[int, int],
    ranges: Sequence[tuple[float, float, int]] = _EXTENTS,
) -> tuple[Tensor, Instances]:
    """Paint one scene: image uint8 (3, H, W) and its instances, the nearest last."""
    canvas = Canvas(size, rng)
    colour = paint_ground(canvas, rng)
    scene = _Scene(canvas, rng, colour)
    count = objects[0] + int(rng.random() * (objects[1] - objects[0] + 1))
    extents = sorted((_extent(rng, 0.8 * min(size), ranges) for _ in range(count)), reverse=True)
    # Now and then a small thing lies below a larger one.
    order = sorted(range(count), key=lambda i: i + uniform(rng, 0, 4))
    for i in order:
        scene.add(extents[i])
    numbers = torch.arange(1, len(scene.labels) + 1)[:, None, None]
    masks = torch.from_numpy(canvas.labels)[None] == numbers
    instances = Instances.of(masks, torch.tensor(scene.labels, dtype=torch.int64))
    return torch.from_numpy(expose(canvas, rng)), instances


class _Scene:
    """The objects that are painted already, and whether one more hides too much of them."""

    def __init__(self, canvas: Canvas, rng: np.random.Generator, colour: Colour) -> None:
        self.canvas, self.rng, self.colour = canvas, rng, colour
        self.labels: list[int] = []
        self.poses: list[Pose] = []
        self.full = np.zeros(256, dtype=np.int64)  # pixels of each number before anything lay on it
        self.left = np.zeros(256, dtype=np.int64)

    def add(self, extent: float) -> None:
        """Paint an object of an extent in pixels, if there is room, and perhaps a bar across it."""
        large = (extent - 8) / (_LARGEST - 8)  # 0 for the smallest, 1 for the largest
        kind = int(self.rng.random() * len(SHAPES))
        for _ in range(4):
            pose = self._pose(0.5 * extent * self.canvas.pixel, large)
            plan = plan_thing(self.canvas, self.rng, list(SHAPES)[kind], pose)
            if self._paint(plan, len(self.labels) + 1):
                self.labels.append(kind)
                self.poses.append(pose)
                if extent >= 32 and self.rng.random() < 0.1 + 0.7 * large:
                    self._paint(paint_plank(self.canvas, self.rng, pose, self.colour), 0)
                return

    def _pose(self, half: float, large: float) -> Pose:
        rng, canvas = self.rng, self.canvas
        slim = uniform(rng, max(0.25, 0.9 - 0.65 * large - 0.2), 1.0 - 0.5 * large)
        if self.poses and rng.random() < 0.35:  # beside another one, touching it
            other, (c, s) = self.poses[int(rng.random() * len(self.poses))], direction(rng)
            reach = 0.85 * (other.half + half)
            centre = (other.centre[0] + reach * c, other.centre[1] + reach * s)
        else:
            inset = 0.5 * half  # so that the frame never cuts off more than a quarter or so
            centre = (
                uniform(rng, inset, canvas.width - inset),
                uniform(rng, inset, UNITS - inset),
            )
        return Pose(centre, half, direction(rng), slim)

    def _paint(self, plan: Plan, number: int) -> bool:
        """Paint where every object below keeps enough in sight; number 0 is the ground's."""
        region = self.canvas.labels[plan.window.rows, plan.window.columns]
        size = int(plan.mask.sum())
        if number and size < _FEWEST:
            return False
        left = self.left - np.bincount(region[plan.mask], minlength=256)
        least = np.maximum(_LEAST_LEFT * self.full, _FEWEST)
        if (left < least)[1 : len(self.labels) + 1].any():
            return False
        plan.paint(self.canvas, number)
        self.left = left
        if number:
            self.full[number] = self.left[number] = size
        return True


def _extent(
    rng: np.random.Generator, most: float, ranges: Sequence[tuple[float, float, int]]
) -> float:
    """The greatest extent of an object in pixels, at most so much.

    Args:
        rng: draws it.
        most: pixels.
        ranges: of pixels, each with how often it is drawn.
    """
    weights = [weight for _, _, weight in ranges]
    chosen = int(np.searchsorted(np.cumsum(weights), rng.random() * sum(weights), side="right"))
    low, high, _ = ranges[chosen]
    return min(uniform(rng, low, high), most)
