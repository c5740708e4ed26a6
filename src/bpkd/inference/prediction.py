"""Segmenting images that have no labels: files in, label maps and overlays out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from bpkd.datasets.bands import Bands, Unreadable, in_bands
from bpkd.datasets.classes_file import write_classes
from bpkd.datasets.images import Reading, glance, read_image
from bpkd.datasets.value_range import measured
from bpkd.errors import UserError
from bpkd.inference.instance_prediction import predict_instances
from bpkd.inference.large import segment
from bpkd.inference.overlay import overlay
from bpkd.inference.photos import jobs
from bpkd.inference.predictor import Predictor, predictor
from bpkd.inference.windows import (
    Choice,
    Inference,
    Windows,
    above,
    build_inference,
    chosen,
    slide,
    sliding,
    surest,
)
from bpkd.recipe.instance import InstanceRecipe
from bpkd.support.files import replacing
from bpkd.support.memory import enough_memory

_WHOLE = 2**26  # pixels: 8192 x 8192
_ROWS = 256  # so many rows are coloured at once


@dataclass
class Predicted:
    """What came of some photos.

    Attributes:
        count: how many were segmented.
        failures: what was wrong with each of the others, a line each.
        places: what was written, below the folder of the predictions.
    """

    count: int = 0
    failures: list[str] = field(default_factory=list)
    places: tuple[str, ...] = ("labels", "overlays")


def predict(
    run: str | Path,
    images: Sequence[str | Path],
    out: str | Path,
    *,
    window: int | None = None,
    checkpoint: str = "student",
    max_pixels: int | None = None,
    confidence: float | None = None,
    progress: Callable[[Any], Any] = iter,
) -> Predicted:
    """Segment images with the network of a run or a file.

    Writes ``OUT/labels/NAME.png`` (8-bit class indices with the classes' colours as palette;
    beyond 256 classes, 16 bits) and ``OUT/overlays/NAME.png``; of objects what
    :func:`~bpkd.inference.instance_prediction.predict_instances` says. Images in folders keep
    their place below the folder. An image that cannot be read is left out, and the others are
    segmented.

    Args:
        run: the run's folder, or a file that ``bpkd export`` wrote.
        images: files of any format that Pillow reads, or folders of them.
        out: where the predictions go; inside such a folder, they are not segmented in turn.
        window: side of sliding windows in pixels, a third overlapping; None: as the run's recipe
            evaluates.
        checkpoint: ``student``, ``best`` or ``last``.
        max_pixels: of the largest image that is read; None: as the run's data say.
        confidence: the predictions are to be labels: what is less probable is 255 (65535 where
            there are more than 255 classes), no overlays are drawn, and ``OUT/classes.csv`` says
            what the labels are, so that :class:`bpkd.datasets.folder.Folder` reads them.
        progress: wraps the list of images, e.g. to draw a bar.

    Returns:
        How many images were segmented, and what was wrong with the others.

    Raises:
        UserError: no such run or image, an impossible window or confidence, the only image cannot
            be read, or nothing can be written.
    """
    if window is not None and window < 1:
        raise UserError(f"window {window}: expected a side in pixels, at least 1")
    if confidence is not None and not 0 <= confidence < 1:
        raise UserError(f"confidence {confidence}: expected a probability from 0 to below 1")
    source = predictor(run, checkpoint=checkpoint)
    _check_confidence(source, confidence)
    photos = jobs(images, Path(out))
    reading = measured(lambda index: photos[index][0], len(photos), source.reading(max_pixels))
    network = source.network.to(torch.device("cuda" if torch.cuda.is_available() else "cpu"))
    recipe = source.recipe
    if isinstance(recipe, InstanceRecipe):
        if window is not None or confidence is not None:
            raise UserError(
                "windows and labels to train on are for label maps; this run finds objects"
            )
        found = predict_instances(network, recipe, photos, Path(out), reading, progress)
        return Predicted(*found, places=("results.json", "instances", "overlays"))
    inference = build_inference(recipe.evaluation)
    if window is not None:
        step = max(1, window * 2 // 3)
        inference = partial(slide, window=(window, window), stride=(step, step))
    way = _Way(network, reading, inference, source.palette, Path(out), confidence)
    done = Predicted()
    for file, name in progress(photos):
        try:
            way.segment(file, name)
        except Unreadable as error:
            if len(photos) == 1:
                raise
            done.failures.append(str(error))
            continue
        done.count += 1
    if confidence is not None:
        write_classes(Path(out), source)
    return done


def _check_confidence(source: Predictor, confidence: float | None) -> None:
    """Refuse a threshold for probabilities where there are none."""
    if confidence is not None and source.gives_labels:
        raise UserError(
            f"{source.path} gives labels, without probabilities; export it without --argmax"
        )


@dataclass(frozen=True)
class _Way:
    """How a photo becomes a label map.

    Attributes:
        network: on its device.
        reading: of photos.
        inference: whole, or by windows.
        palette: the classes' colours.
        out: where the predictions go.
        confidence: see :func:`predict`.
    """

    network: nn.Module
    reading: Reading
    inference: Inference
    palette: Sequence[tuple[int, int, int]]
    out: Path
    confidence: float | None

    def segment(self, file: Path, name: str) -> None:
        """Write a photo's label map, and its overlay where one is wanted.

        Raises:
            Unreadable: the photo cannot be read.
            UserError: something cannot be written, or memory runs out.
        """
        labels, ignored = self.out / "labels" / name, None
        overlay: Path | None = self.out / "overlays" / name
        choice: Choice = surest
        if self.confidence is not None:
            ignored, overlay = 255 if len(self.palette) <= 255 else 65535, None
            choice = above(self.confidence, ignored, self.inference)
        photo, windows = self._read(file)
        height, width = photo.shape[-2:]
        with enough_memory(f"{file} is {width}x{height}: take --window 512"):
            if isinstance(photo, Bands):
                assert windows is not None
                places = labels, overlay
                segment(self.network, photo, windows, choice, self.palette, places, ignored)
                return
            dtype = torch.uint8 if len(self.palette) <= 256 and ignored is None else torch.int32
            found = chosen(self.network, photo[None], self.inference, choice, dtype)[0]
        # The label map last: where it is, its overlay is.
        if overlay is not None:
            _save(_laid_over(photo, found, self.palette), overlay)
        _save(_indices(found, self.palette, ignored), labels)

    def _read(self, file: Path) -> tuple[Tensor | Bands, Windows | None]:
        """A photo, in bands where it is large, and the windows in which it is gone over."""
        try:
            windows = sliding(self.network, self.inference, glance(file).size)
            if windows is None:
                _check_size(file)
            bands = in_bands(file, self.reading) if windows else None
            photo: Tensor | Bands = read_image(file, self.reading) if bands is None else bands
            return photo, windows
        except UserError as error:
            raise Unreadable(str(error)) from error


def _check_size(file: Path) -> None:
    """Refuse what no machine holds: a network's features of a very large image."""
    height, width = glance(file).size
    if height * width > _WHOLE:
        raise UserError(
            f"{file} has {width}x{height} pixels, too many to be segmented as a whole: give "
            "sliding windows, e.g. --window 1024"
        )


def _laid_over(
    image: Tensor, labels: Tensor, palette: Sequence[tuple[int, int, int]]
) -> Image.Image:
    """The classes' colours over an image, which is not needed any more: they take its place."""
    pixels = image.permute(1, 2, 0).numpy()
    for top in range(0, len(pixels), _ROWS):
        rows = slice(top, top + _ROWS)
        pixels[rows] = overlay(image[:, rows], labels[rows], palette)
    return Image.fromarray(pixels)


def _indices(
    labels: Tensor, palette: Sequence[tuple[int, int, int]], ignored: int | None = None
) -> Image.Image:
    """A label map as a picture of class indices, and of ``ignored`` where it is given."""
    if len(palette) > 256 or (ignored or 0) > 255:
        return Image.fromarray(labels.numpy().astype(np.uint16))
    picture = Image.fromarray(labels.numpy().astype(np.uint8))
    if ignored is not None:  # of few colours, Pillow writes few bits, and 255 would be lost
        palette = [*palette, *[(0, 0, 0)] * (256 - len(palette))]
    picture.putpalette([value for colour in palette for value in colour])
    return picture


def _save(picture: Image.Image, file: Path) -> None:
    with replacing(file, sync=False) as temporary:
        picture.save(temporary, format="PNG")
