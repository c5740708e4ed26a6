"""Class ids and colours of the embedded scenes; the ranges of different classes overlap."""

from __future__ import annotations

from bpkd.datasets.painting.drawing import Colour

# The order of the names in `bpkd.datasets.scenes.CLASSES`.
SKY, TERRAIN, ROAD, BUILDING, TREE, FENCE, POLE, SIGN, CAR, PERSON = range(10)
IGNORE = 255

SKIES: list[tuple[Colour, Colour]] = [
    ((92, 148, 214), (196, 222, 240)),
    ((128, 168, 206), (226, 228, 222)),
    ((150, 158, 170), (206, 208, 210)),
    ((104, 112, 168), (246, 194, 150)),
    ((70, 120, 180), (236, 216, 190)),
]
GRASS: list[Colour] = [(110, 158, 70), (146, 160, 84), (176, 160, 100), (84, 134, 76)]
ASPHALT: list[Colour] = [(104, 104, 110), (132, 126, 122), (84, 86, 96), (158, 148, 136)]
LIGHTS: list[Colour] = [(1.0, 1.0, 1.0), (1.06, 0.98, 0.86), (0.9, 0.95, 1.04), (0.86, 0.84, 0.88)]
WALLS: list[Colour] = [
    (196, 112, 86),
    (226, 206, 168),
    (150, 148, 150),
    (120, 140, 165),
    (214, 150, 110),
]
ROOFS: list[Colour] = [(140, 62, 52), (84, 80, 92), (110, 84, 66)]
LEAVES: list[Colour] = [(60, 120, 50), (96, 150, 60), (40, 92, 66), (190, 130, 50)]
WOOD: list[Colour] = [(232, 228, 216), (120, 84, 56), (70, 70, 76), (150, 130, 96)]
METAL: list[Colour] = [(70, 72, 78), (150, 152, 156), (200, 200, 196), (110, 88, 70)]
PAINTS: list[Colour] = [
    (190, 40, 44),
    (40, 84, 170),
    (230, 230, 226),
    (50, 54, 60),
    (230, 180, 50),
    (60, 140, 120),
]
SIGNS: list[Colour] = [(206, 34, 40), (30, 80, 180), (240, 196, 40)]
SKIN: list[Colour] = [(236, 196, 166), (176, 122, 86), (96, 64, 48)]
WHITE: Colour = (240.0, 240.0, 236.0)
GLASS: Colour = (52.0, 66.0, 84.0)
BLACK: Colour = (30.0, 30.0, 34.0)
