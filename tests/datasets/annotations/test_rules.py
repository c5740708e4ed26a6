"""What covers what, holes, crowds, points outside, photos that are stored turned."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageOps

from bpkd.datasets.annotated import Annotated
from bpkd.datasets.annotations.common import Drawing, Object
from bpkd.datasets.annotations.drawing import instances, label_map
from bpkd.datasets.annotations.pixels import Runs, Whole
from bpkd.datasets.annotations.polygons import (
    Polygon,
    Shape,
    Union,
    ellipse,
    fill,
    outline,
    rectangle,
)
from bpkd.datasets.annotations.turning import Turning
from bpkd.errors import UserError
from tests import exports


def pixels(shape: Shape, height: int = 4, width: int = 6) -> list[str]:
    mask, left, top = shape.patch(height, width)
    whole = np.zeros((height, width), int)
    whole[top : top + mask.shape[0], left : left + mask.shape[1]] = mask
    return ["".join(".#"[value] for value in row) for row in whole]


def ring(*points: tuple[float, float]) -> Any:
    return outline(points, "a")


# Polygons -----------------------------------------------------------------------------------------


def test_a_pixel_is_inside_when_its_centre_is() -> None:
    assert pixels(Polygon((ring((1, 1), (5, 1), (5, 3), (1, 3)),))) == [
        "......", ".####.", ".####.", "......",
    ]  # fmt: skip
    # Neighbours that meet in the middle of a pixel share none and leave none out.
    one = pixels(Polygon((ring((1, 1), (2.5, 1), (2.5, 3), (1, 3)),)))
    other = pixels(Polygon((ring((2.5, 1), (5, 1), (5, 3), (2.5, 3)),)))
    assert (one[1], other[1]) == (".#....", "..###.")


def test_a_ring_inside_is_a_hole_and_parts_are_joined() -> None:
    outer, inner = ring((0, 0), (6, 0), (6, 4), (0, 4)), ring((2, 1), (4, 1), (4, 3), (2, 3))
    assert pixels(Polygon((outer, inner))) == ["######", "##..##", "##..##", "######"]
    # The parts of one object are joined, also where they cover each other.
    assert pixels(Union((Polygon((outer,)), Polygon((inner,))))) == ["######"] * 4


def test_what_is_outside_the_image_is_cut_off() -> None:
    assert pixels(rectangle(-100, 2, 2, 100)) == ["......", "......", "##....", "##...."]
    assert pixels(rectangle(-9, -9, 99, 99)) == ["######"] * 4
    assert pixels(rectangle(50, 50, 60, 60)) == ["......"] * 4
    diamond = Polygon((ring((3, -3), (9, 3), (3, 9), (-3, 3)),))
    assert pixels(diamond) == ["######"] * 4


def test_lines_and_single_points_have_no_pixels() -> None:
    assert pixels(Polygon((ring((0, 0), (5, 3)),))) == ["......"] * 4
    assert pixels(Polygon((ring((1, 1), (1, 1), (1, 1)),))) == ["......"] * 4


@pytest.mark.parametrize("point", [(float("nan"), 1.0), (float("inf"), 1.0), (1e30, 1.0)])
def test_a_point_that_is_nowhere_is_refused(point: tuple[float, float]) -> None:
    with pytest.raises(UserError, match="a polygon has a point that is no place"):
        outline([point, (0, 0), (1, 1)], "a.json")


def test_circles_and_turned_boxes() -> None:
    mask = ellipse(50, 40, 30, 20).patch(80, 100).mask
    assert mask.sum() == pytest.approx(np.pi * 30 * 20, rel=0.003)
    turned = rectangle(20, 30, 60, 50, 90).patch(80, 100)  # a quarter turn round (40, 40)
    assert (turned.left, turned.top, *turned.mask.shape) == (30, 20, 40, 20)
    assert turned.mask.all()


def test_polygons_agree_with_cocos_own_to_the_pixels_of_the_outline() -> None:
    coco = pytest.importorskip("faster_coco_eval.core.mask")
    random = np.random.default_rng(0)
    for _ in range(50):
        angles = np.sort(random.uniform(0, 2 * np.pi, 12))
        radii = random.uniform(10, 60, 12)
        points = np.stack([70 + radii * np.cos(angles), 60 + radii * np.sin(angles)], 1)
        ours, left, top = fill([points.astype(np.float32)], 120, 140)
        whole = np.zeros((120, 140), bool)
        whole[top : top + ours.shape[0], left : left + ours.shape[1]] = ours
        theirs = coco.decode(coco.frPyObjects([points.ravel().tolist()], 120, 140))[..., 0] > 0
        different = whole != theirs
        edge = np.zeros_like(whole)
        for image in (whole, theirs):
            edge[1:] |= image[1:] != image[:-1]
            edge[:-1] |= image[1:] != image[:-1]
            edge[:, 1:] |= image[:, 1:] != image[:, :-1]
            edge[:, :-1] |= image[:, 1:] != image[:, :-1]
        assert not (different & ~edge).any()
        assert different.sum() < 0.05 * whole.sum()


# Pixels -------------------------------------------------------------------------------------------


def test_run_lengths_reach_beyond_the_image_and_must_fill_their_box() -> None:
    assert pixels(Runs("a", (0, 4), 5, 3, 2, 2)) == ["......", "......", "......", ".....#"]
    assert pixels(Runs("a", (0, 4), -1, -1, 2, 2)) == ["#.....", "......", "......", "......"]
    with pytest.raises(UserError, match="a: run lengths of 3 pixels do not fill the box of 2x2"):
        pixels(Runs("a", (0, 3), 0, 0, 2, 2))


def test_coco_reads_both_kinds_of_run_lengths() -> None:
    coco = pytest.importorskip("faster_coco_eval.core.mask")
    from bpkd.datasets.annotations.coco import RunLengths

    inside = np.zeros((4, 6), np.uint8)
    inside[1:3, 2:5] = 1
    packed = coco.encode(np.asfortranarray(inside))["counts"].decode()
    expected = ["......", "..###.", "..###.", "......"]
    assert pixels(RunLengths("a", packed, 4, 6)) == expected
    counts = tuple(exports.column_runs(inside.astype(bool)))
    assert pixels(RunLengths("a", counts, 4, 6)) == expected
    with pytest.raises(UserError, match="run lengths of 5x4 on an image of 6x4"):
        pixels(RunLengths("a", packed, 4, 5))


def test_a_brush_of_label_studios_own_package() -> None:
    from bpkd.datasets.annotations.label_studio import Brush

    # mask2rle of label-studio-sdk 2.1.2, of a mask (4, 6) with rows 1 and 2, columns 2 to 4 set.
    rle = [0, 0, 0, 96, 57, 27, 254, 31, 0, 183, 255, 108, 2, 223, 254, 27, 0, 0]
    assert pixels(Brush("a", bytes(rle), 6, 4)) == ["......", "..###.", "..###.", "......"]
    with pytest.raises(UserError, match="a: a brush ends in the middle"):
        pixels(Brush("a", bytes(rle[:9]), 6, 4))


# Order --------------------------------------------------------------------------------------------


def test_crowds_lie_below_and_objects_stay_whole() -> None:
    things = [
        Object("person", rectangle(0, 0, 2, 1)),
        Object("person", rectangle(1, 0, 6, 1), crowd=True),
        Object("dog", rectangle(5, 0, 9, 1)),
        Object("dog", rectangle(70, 0, 90, 1)),
    ]
    meaning = {"person": 0, "dog": 1}
    drawing = Drawing("a", things)
    for overlap in ("later", "smaller"):
        assert label_map(drawing, meaning, (1, 7), 9, overlap).tolist() == [[0, 0, 0, 0, 0, 1, 1]]
    found = instances(drawing, meaning, (1, 7))
    assert found.crowd.tolist() == [False, True, False]  # what is outside the image is no object
    assert found.labels.tolist() == [0, 0, 1]
    assert found.boxes.tolist() == [[0, 0, 2, 1], [1, 0, 6, 1], [5, 0, 7, 1]]
    assert found.masks.sum((1, 2)).tolist() == [2, 5, 2]


def test_an_image_without_objects_has_none() -> None:
    found = instances(Drawing("a", []), {}, (3, 5))
    assert found.masks.shape == (0, 3, 5) and found.boxes.shape == (0, 4)


def test_whole_masks_survive_packing() -> None:
    mask = np.random.default_rng(0).random((5, 7)) > 0.5
    assert (Whole.of(mask).patch(5, 7).mask == mask).all()


def test_the_overlap_of_a_recipe_counts(tmp_path: Path) -> None:
    exports.yolo(tmp_path)
    labels = [Annotated(tmp_path, "all", overlap=o)[0][1] for o in ("smaller", "later")]
    assert labels[0].unique().tolist() == [0, 1, 2]
    # The road is listed last: only what sticks out above it is left of the car.
    assert (labels[1][16:] == 1).all() and (labels[1][10:16] == 2).any()


# Turned photos ------------------------------------------------------------------------------------


@pytest.mark.parametrize("orientation", range(2, 9))
def test_annotations_of_the_stored_photo_turn_with_it(orientation: int, tmp_path: Path) -> None:
    stored = np.arange(12, dtype=np.uint8).reshape(3, 4) * 20
    image = Image.fromarray(stored)
    exif = Image.Exif()
    exif[0x0112] = orientation
    image.save(tmp_path / "a.png", exif=exif)
    with Image.open(tmp_path / "a.png") as opened:
        upright = np.asarray(ImageOps.exif_transpose(opened))
    turning = Turning(tmp_path / "a.png", upright.shape, (3, 4), "a.json")
    if orientation < 5:  # of one size either way: taken to be upright
        assert (turning(stored) == stored).all()
    else:
        assert (turning(stored) == upright).all()
    same = Turning(tmp_path / "a.png", upright.shape, upright.shape, "a.json")
    assert (same(upright) == upright).all()


@pytest.mark.parametrize("format", ["coco", "labelme", "index-masks"])
@pytest.mark.parametrize("made_on", ["upright", "stored"])
def test_turned_photos(format: str, made_on: str, tmp_path: Path) -> None:
    exports.EXPORTS[format](tmp_path)
    photo = next(f for f in sorted(tmp_path.rglob("street_0.*")) if f.suffix in (".jpg", ".png"))
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by a quarter, clockwise
    with Image.open(photo) as opened:
        pixels_ = opened.convert("RGB")
    if made_on == "upright":
        pixels_ = pixels_.transpose(Image.Transpose.ROTATE_90)
    pixels_.save(photo, exif=exif)
    data = Annotated(tmp_path, "all")
    index = next(i for i in range(len(data)) if data.name(i) == "street_0")
    image, labels = data[index]
    expected = exports.labels(0) > 0
    if made_on == "stored":
        expected = np.rot90(expected, -1)
    assert image.shape[1:] == labels.shape == expected.shape
    background = data.classes.index("background")
    assert ((labels != background).numpy() == expected).all()


def test_where_sizes_do_not_show_it_upright_decides(tmp_path: Path) -> None:
    exports.coco(tmp_path)
    photo = tmp_path / "train2017/street_0.jpg"
    exif = Image.Exif()
    exif[0x0112] = 3  # upside down
    with Image.open(photo) as opened:
        opened.save(photo, exif=exif)
    turned, stored = (Annotated(tmp_path, "train", upright=upright) for upright in (True, False))
    assert turned.turned(0) and not stored.turned(0)
    assert (turned[0][0] == stored[0][0].flip(1, 2)).all()
    assert (turned[0][1] == stored[0][1]).all()


def test_objects_turn_with_a_stored_photo(tmp_path: Path) -> None:
    exports.coco(tmp_path)
    photo = tmp_path / "train2017/street_0.jpg"
    exif = Image.Exif()
    exif[0x0112] = 6
    with Image.open(photo) as opened:
        opened.save(photo, exif=exif)
    found = Annotated(tmp_path, "train", task="instance")[0][1]
    left, top, right, bottom = exports.car(0)
    turned = [exports.HEIGHT - bottom, left, exports.HEIGHT - top, right]
    assert turned in found.boxes.int().tolist()
