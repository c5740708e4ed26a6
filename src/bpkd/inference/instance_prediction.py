"""Objects in images that have no annotations: files in, COCO results, maps of numbers and overlays
out."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import nn

from bpkd.datasets.building import build_data
from bpkd.datasets.decoding import mask_api
from bpkd.datasets.images import Reading, read_image
from bpkd.datasets.instances import Instances
from bpkd.datasets.transforms import to_float
from bpkd.errors import UserError
from bpkd.inference.instance_overlay import flattened, outlined
from bpkd.inference.photos import Job
from bpkd.inference.predictor import device_of
from bpkd.inference.tasks import instance_task
from bpkd.recipe.instance import InstanceRecipe
from bpkd.support.files import replacing

_MOST = 2**16 - 1  # numbers of a map of 16 bits


def predict_instances(
    network: nn.Module,
    recipe: InstanceRecipe,
    photos: Sequence[Job],
    out: Path,
    reading: Reading,
    progress: Callable[[Any], Any] = iter,
) -> tuple[int, list[str]]:
    """Find objects in photos.

    Writes ``OUT/instances/NAME.png`` (16 bits, each pixel's object by its number, the smaller
    over the larger, 0 for none), ``OUT/overlays/NAME.png``, and ``OUT/results.json``, COCO's
    results format with run lengths. ``OUT/images.json`` says which photo each ``image_id`` is and
    which class each ``category_id``: those of COCO where the photos and classes have them. The
    number in a map is the place, from 1, among the results of the photo.

    Args:
        network: with ``classes`` and ``palette``, on its device.
        recipe: of its run.
        photos: files with the names of their results.
        out: where the predictions go.
        reading: how the photos are read.
        progress: wraps the list of photos, e.g. to draw a bar.

    Returns:
        How many images were looked at, and what was wrong with the others.

    Raises:
        UserError: the only photo cannot be read, or nothing can be written.
    """
    classes: list[str] = network.classes  # type: ignore[assignment]
    palette: Any = network.palette
    task, ids = instance_task(recipe, len(classes)), category_ids(recipe, len(classes))
    results: list[dict[str, Any]] = []
    images: list[dict[str, Any]] = []
    failures: list[str] = []
    numbers = image_ids(photos)
    device = device_of(network)
    for (file, name), number in zip(progress(photos), numbers, strict=True):
        try:
            image = read_image(file, reading)
        except UserError as error:
            if len(photos) == 1:
                raise
            failures.append(str(error))
            continue
        with torch.inference_mode():
            found = task.found(network, to_float(image)[None].to(device))[0]
        found = Instances(*(None if value is None else value.cpu() for value in found))  # type: ignore[arg-type]
        height, width = image.shape[1:]
        images.append({"id": number, "file_name": str(file), "height": height, "width": width})
        results += as_results(found, number, ids)
        _save(Image.fromarray(outlined(image, found, palette)), out / "overlays" / name)
        _save(Image.fromarray(numbered(found)), out / "instances" / name)
    categories = [{"id": own, "name": label} for own, label in zip(ids, classes, strict=True)]
    _write(out / "images.json", {"images": images, "categories": categories})
    _write(out / "results.json", results)
    return len(images), failures


def as_results(found: Instances, image_id: int, ids: Sequence[int]) -> list[dict[str, Any]]:
    """An image's instances in COCO's results format, best first.

    Args:
        found: with scores.
        image_id: of the image.
        ids: the category of each class.
    """
    if not len(found.labels):
        return []
    assert found.scores is not None
    masks = np.asfortranarray(found.masks.permute(1, 2, 0).numpy().astype(np.uint8))
    runs = mask_api("COCO results").encode(masks)
    boxes = found.boxes.clone()
    boxes[:, 2:] -= boxes[:, :2]
    return [
        {
            "image_id": image_id,
            "category_id": ids[label],
            "segmentation": {"size": each["size"], "counts": _text(each["counts"])},
            "bbox": box,
            "score": score,
        }
        for each, label, box, score in zip(
            runs, found.labels.tolist(), boxes.tolist(), found.scores.tolist(), strict=True
        )
    ]


def numbered(found: Instances) -> Any:
    """The map (H, W) uint16 of the instances' numbers from 1, the smaller over the larger."""
    assert len(found.labels) <= _MOST
    return flattened(found, 0)[1].numpy().astype(np.uint16)


def image_ids(photos: Sequence[Job]) -> list[int]:
    """The photos' numbers: as their names say, as COCO's do, if all are numbers; else in order.

    >>> image_ids([(Path("000000000139.jpg"), "a"), (Path("000000000285.jpg"), "b")])
    [139, 285]
    >>> image_ids([(Path("7.jpg"), "a"), (Path("cat.jpg"), "b")])
    [1, 2]
    """
    stems = [file.stem for file, _ in photos]
    if all(stem.isascii() and stem.isdigit() for stem in stems):
        numbers = [int(stem) for stem in stems]
        if len({*numbers}) == len(numbers):
            return numbers
    return list(range(1, len(photos) + 1))


def category_ids(recipe: InstanceRecipe, count: int) -> list[int]:
    """The categories of the classes: those of the run's annotation file, else from 1 on."""
    if recipe.data.accepts("annotations"):
        for split in ("val", "train"):
            try:
                ids = [int(own) for own in build_data(recipe, split).category_ids]
            except (UserError, AttributeError):  # the file need not be there any more
                continue
            if len(ids) == count:
                return ids
    return list(range(1, count + 1))


def _text(counts: bytes | str) -> str:
    return counts.decode("ascii") if isinstance(counts, bytes) else counts


def _write(file: Path, content: Any) -> None:
    with replacing(file) as temporary:
        temporary.write_text(json.dumps(content) + "\n", encoding="utf-8")


def _save(picture: Image.Image, file: Path) -> None:
    with replacing(file) as temporary:
        picture.save(temporary, format="PNG")
