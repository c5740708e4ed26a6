"""Segmenting images that have no labels: files in, label maps and overlays out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from bpkd.datasets.images import image_files, read_image
from bpkd.datasets.transforms import to_float
from bpkd.errors import UserError
from bpkd.inference.overlay import overlay
from bpkd.inference.windows import build_inference, slide
from bpkd.inference.windows import predict as classes_of
from bpkd.recipe.loading import load_recipe
from bpkd.runs.loading import load
from bpkd.support.files import replacing


def predict(
    run: str | Path,
    images: Sequence[str | Path],
    out: str | Path,
    *,
    window: int | None = None,
    checkpoint: str = "student",
    progress: Callable[[Any], Any] = iter,
) -> int:
    """Segment images with a run's network.

    Writes ``OUT/labels/NAME.png`` (8-bit class indices with the classes' colours as palette;
    beyond 256 classes, 16 bits) and ``OUT/overlays/NAME.png``. Images in folders keep their place
    below the folder.

    Args:
        run: the run's folder.
        images: files of any format that Pillow reads, or folders of them.
        out: where the predictions go.
        window: side of sliding windows in pixels, a third overlapping; None: as the run's recipe
            evaluates.
        checkpoint: ``student``, ``best`` or ``last``.
        progress: wraps the list of images, e.g. to draw a bar.

    Returns:
        How many images were segmented.

    Raises:
        UserError: no such run or image, an image that cannot be read, or an impossible window.
    """
    if window is not None and window < 1:
        raise UserError(f"window {window}: expected a side in pixels, at least 1")
    network = load(run, checkpoint)
    jobs = _jobs(images)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    network.to(device)
    inference = build_inference(load_recipe(Path(run) / "recipe.yaml").evaluation)
    if window is not None:
        step = max(1, window * 2 // 3)
        inference = partial(slide, window=(window, window), stride=(step, step))
    palette: list[tuple[int, int, int]] = network.palette  # type: ignore[assignment]
    for file, name in progress(jobs):
        image = read_image(file)
        labels = classes_of(network, to_float(image)[None].to(device), inference)[0].cpu()
        _save(_indices(labels, palette), Path(out) / "labels" / name)
        _save(Image.fromarray(overlay(image, labels, palette)), Path(out) / "overlays" / name)
    return len(jobs)


def _jobs(images: Sequence[str | Path]) -> list[tuple[Path, str]]:
    """Each image with the name of what is written for it; no two alike."""
    jobs: list[tuple[Path, str]] = []
    for given in map(Path, images):
        if given.is_dir():
            files = list(image_files(given))
            if not files:
                raise UserError(f"{given}: no image in this folder")
            jobs += [(f, str(f.relative_to(given).with_suffix(".png"))) for f in files]
        elif given.is_file():
            jobs.append((given, f"{given.stem}.png"))
        else:
            raise UserError(f"{given}: no such image or folder")
    names: dict[str, Path] = {}
    for file, name in jobs:
        if name in names:
            raise UserError(
                f"{names[name]} and {file} would both be written to {name}; "
                "segment them into different folders"
            )
        names[name] = file
    return jobs


def _indices(labels: Tensor, palette: Sequence[tuple[int, int, int]]) -> Image.Image:
    """A label map as a picture of class indices."""
    if len(palette) > 256:
        return Image.fromarray(labels.numpy().astype(np.uint16))
    picture = Image.fromarray(labels.numpy().astype(np.uint8))
    picture.putpalette([value for colour in palette for value in colour])
    return picture


def _save(picture: Image.Image, file: Path) -> None:
    with replacing(file) as temporary:
        picture.save(temporary, format="PNG")
