"""The embedded data set: street scenes painted from a seed, in memory, with exact labels.

It needs no file and no network, and its outlines are known to the pixel: what the demo and the
tests train on. Colours are drawn anew for every scene from ranges that overlap between classes,
so that shape, texture and place decide; poles and fences are one to three pixels wide at 96 rows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from bpkd.datasets.painting import colours, roadside, traffic
from bpkd.datasets.painting.backdrop import Street, expose, paint_road, paint_sky, paint_terrain
from bpkd.datasets.painting.drawing import UNITS, Canvas, Point, uniform
from bpkd.errors import UserError

# The names and how many scenes each has by default. Their order seeds them: append, never reorder.
SPLITS = {"train": 400, "val": 60, "test": 120}
MIN_SIDE = 32
# In the order of the labels, each with the colour that shows it in a label map.
CLASSES: dict[str, tuple[int, int, int]] = {
    "sky": (140, 200, 240),
    "terrain": (170, 210, 110),
    "road": (120, 110, 130),
    "building": (180, 110, 80),
    "tree": (30, 120, 70),
    "fence": (245, 190, 120),
    "pole": (250, 230, 60),
    "sign": (225, 40, 45),
    "car": (45, 70, 200),
    "person": (205, 60, 180),
}


Prop = Callable[[Canvas, np.random.Generator, Point, float], None]


def paint_props(canvas: Canvas, rng: np.random.Generator, street: Street) -> None:
    """All that stands on the ground, the far things first."""
    queue: list[tuple[Point, Prop]] = []

    def place(
        prop: Prop, least: int, most: int, depths: Point, *, reach: float, anywhere: float = 0.0
    ) -> None:
        for _ in range(least + int(rng.random() * (most - least + 1))):
            y = street.horizon + uniform(rng, *depths) * (UNITS - street.horizon)
            foot = street.beside(rng, y, reach)
            if rng.random() < anywhere:
                foot = (uniform(rng, 0.05, 0.95) * canvas.width, y)
            queue.append((foot, prop))

    place(roadside.building, 3, 5, (0.02, 0.14), reach=46, anywhere=0.3)
    place(roadside.tree, 2, 4, (0.04, 0.5), reach=50, anywhere=0.2)
    place(roadside.fence, 1, 2, (0.25, 0.85), reach=30)
    place(roadside.pole, 1, 2, (0.15, 0.8), reach=12)
    place(roadside.sign, 1, 2, (0.3, 0.85), reach=10)
    place(traffic.car, 1, 2, (0.3, 0.95), reach=1, anywhere=0.8)
    place(traffic.person, 1, 3, (0.25, 0.95), reach=30, anywhere=0.4)
    place(traffic.crate, 0, 1, (0.4, 0.95), reach=30, anywhere=0.2)
    for foot, draw in sorted(queue, key=lambda entry: entry[0][1]):
        draw(canvas, rng, foot, 0.6 + 0.6 * float(street.depth(foot[1])))


def draw_scene(rng: np.random.Generator, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Paint one scene.

    Args:
        rng: Source of every choice.
        size: Rows and columns.

    Returns:
        The image, uint8 (3, rows, columns), and the labels, uint8 (rows, columns).
    """
    canvas = Canvas(size, rng)
    street = Street(rng, canvas.width)
    haze = paint_sky(canvas, rng)
    if rng.random() < 0.4:
        traffic.balloon(canvas, rng, (uniform(rng, 0.1, 0.9) * canvas.width, uniform(rng, 9, 24)))
    paint_terrain(canvas, rng, street, haze)
    paint_road(canvas, rng, street)
    paint_props(canvas, rng, street)
    image = expose(canvas, rng)
    return torch.from_numpy(image), torch.from_numpy(canvas.labels)


class Scenes(Dataset[tuple[Tensor, Tensor]]):
    """Generated street scenes with ten classes, a pure function of (seed, split, index, size).

    Every bit is the same on every machine. The same index shows the same scene at every size of
    one aspect ratio, only with more pixels. A scene is painted when it is first asked for and then
    kept, at 4 bytes a pixel: 20 MB for the 400 training scenes of 96x128, in each loader process.

    Args:
        split: "train", "val" or "test"; their scenes are disjoint.
        size: Rows and columns of a scene, at least 32 each.
        count: Number of scenes; None for the split's own (400, 60, 120).
        seed: Another number gives another data set.

    Attributes:
        classes: Names of the classes, in the order of their labels.
        palette: An RGB colour a class to draw label maps with.
        ignore_index: Label of what belongs to no class: 255.

    Raises:
        UserError: An unknown split, a size that is no pair of numbers from 32, a count below 1 or
            a negative seed.

    >>> scenes = Scenes("val", size=(48, 64), count=2)
    >>> image, labels = scenes[1]
    >>> image.shape, labels.shape, image.dtype, scenes.name(1)
    (torch.Size([3, 48, 64]), torch.Size([48, 64]), torch.uint8, 'scene-val-00001')
    """

    def __init__(
        self,
        split: str = "train",
        size: tuple[int, int] = (96, 128),
        count: int | None = None,
        seed: int = 0,
    ) -> None:
        if split not in SPLITS:
            raise UserError(
                f"Scenes: split {split!r} is unknown; choose one of {', '.join(SPLITS)}."
            )
        if not isinstance(size, Sequence) or len(size) != 2 or min(size) < MIN_SIDE:
            raise UserError(
                f"Scenes: size {size!r} is not (rows, columns) of at least {MIN_SIDE} pixels each."
            )
        if count is not None and count < 1:
            raise UserError(f"Scenes: count is {count}; give at least 1, or None for all.")
        if seed < 0:
            raise UserError(f"Scenes: seed is {seed}; give a number from 0.")
        self.split, self.size, self.seed = split, (int(size[0]), int(size[1])), seed
        self.count = SPLITS[split] if count is None else count
        self.classes, self.palette = list(CLASSES), list(CLASSES.values())
        self.ignore_index = colours.IGNORE
        self._cache: dict[int, tuple[Tensor, Tensor]] = {}

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        if not 0 <= index < self.count:
            raise IndexError(f"Scenes: index {index} is outside 0..{self.count - 1}.")
        if index not in self._cache:
            key = [self.seed, list(SPLITS).index(self.split), index]
            rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence(key)))
            self._cache[index] = draw_scene(rng, self.size)
        # Copies, so that a transform that writes in place cannot spoil the next epoch.
        image, labels = self._cache[index]
        return image.clone(), labels.clone()

    def name(self, index: int) -> str:
        """The scene's name, e.g. for the file that its prediction is saved in."""
        return f"scene-{self.split}-{index:05d}"
