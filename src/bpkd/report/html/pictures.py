"""Images through networks, as small pictures inside the page."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup
from PIL import Image
from torch import Tensor

from bpkd.errors import UserError
from bpkd.inference.overlay import Picture
from bpkd.report.figures.grid import Page, first_images, gains
from bpkd.report.figures.rule import Gain, chosen
from bpkd.report.figures.views import all_seen

#: The longer side of a picture in pixels; larger images are made smaller.
SIDE = 1024
_QUALITY = 80


@dataclass
class Layer:
    """What is seen as a picture, see-through where nothing counts."""

    name: str
    uri: Markup


@dataclass
class Scene:
    """One image, and what networks see in it.

    Attributes:
        title: its name and number.
        note: how far the last student is ahead there.
        size: width and height of its pictures.
        photo: the image.
        layers: what the networks see, then the annotations.
        part: centre and side of the part that is enlarged, as shares of width and height.
    """

    title: str
    note: str
    size: tuple[int, int]
    photo: Markup
    layers: list[Layer]
    part: tuple[float, float, float]


def scenes(
    page: Page,
    count: int,
    images: Sequence[int] | None,
    width: int,
    candidates: int | None,
    progress: Callable[[Any], Any] = iter,
) -> list[Scene]:
    """Images by the rule of ``bpkd figure grid``: the largest gains and losses take turns.

    Of a single method, images from all over the split are shown.

    Args:
        page: networks, and the images of a split.
        count: how many images.
        images: these instead.
        width: of the band round outlines, in pixels.
        candidates: choose among the first ones; None: among all.
        progress: wraps the images, e.g. to draw a bar.

    Raises:
        UserError: no such image.
    """
    known = len(page.data)
    for index in images or ():
        if not 0 <= index < known:
            raise UserError(f"image {index}: the split has {known} images, 0 to {known - 1}")
    if len(page.students) < 2:
        among = len(first_images(page, candidates))
        spread = [int((k + 0.5) * among / min(count, among)) for k in range(min(count, among))]
        rows = [Gain(index, float("nan")) for index in images or spread]
    elif images:
        rows = gains(page, width, images, progress)
    else:
        rows = chosen(gains(page, width, first_images(page, candidates), progress), count)
    return [_scene(page, row, width) for row in rows]


def _scene(page: Page, row: Gain, width: int) -> Scene:
    view = page.view
    image, target = page.data[row.index]
    seen = all_seen(view, page.networks, image)
    height, breadth = image.shape[1:]
    side = 0.4
    size = max(1, int(height * side)), max(1, int(breadth * side))
    part = view.part([seen[name] for name in page.students], target, size, width)
    middle = [(p.start + p.stop) / 2 / n for p, n in zip(part, (height, breadth), strict=True)]
    shown = {**seen, view.truth: view.true(target)}
    layers = [Layer(name, layer_uri(view.layer(each, target))) for name, each in shown.items()]
    note = "" if row.points != row.points else _note(row.points, page, width)
    title = f"image {row.index}, {page.data.name(row.index)}"
    small = _fitting((breadth, height))
    return Scene(title, note, small, photo_uri(image), layers, (middle[1], middle[0], side))


def _note(points: float, page: Page, width: int) -> str:
    first, last = page.students[0], page.students[-1]
    return f"{last} {points:+.1f} points of {page.view.unit(width)} against {first}"


def photo_uri(image: Tensor) -> Markup:
    """An image uint8 (3, H, W) as a data URI: WebP, its longer side at most :data:`SIDE`."""
    picture = Image.fromarray(image.permute(1, 2, 0).numpy())
    return _uri(picture.resize(_fitting(picture.size), Image.Resampling.LANCZOS), quality=_QUALITY)


def layer_uri(pixels: Picture) -> Markup:
    """Colours and their strength (H, W, 4) as a data URI; nothing is smeared."""
    picture = Image.fromarray(pixels)
    picture = picture.resize(_fitting(picture.size), Image.Resampling.NEAREST)
    return _uri(picture, lossless=True, method=6)


def _fitting(size: tuple[int, int]) -> tuple[int, int]:
    """The size of the picture of an image of a size.

    >>> _fitting((2048, 1024)), _fitting((480, 360))
    ((1024, 512), (480, 360))
    """
    factor = min(1.0, SIDE / max(size))
    return max(1, round(size[0] * factor)), max(1, round(size[1] * factor))


def _uri(picture: Image.Image, **options: Any) -> Markup:
    stream = io.BytesIO()
    picture.save(stream, format="WEBP", **options)
    return Markup("data:image/webp;base64," + base64.b64encode(stream.getvalue()).decode())
