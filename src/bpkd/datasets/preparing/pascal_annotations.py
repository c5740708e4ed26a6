"""The annotations of Pascal Context: MATLAB files, or the JSON file of the Detail API."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from bpkd.datasets.pascal_context import CLASSES, LABEL_IDS
from bpkd.datasets.preparing.common import Job, read_list
from bpkd.datasets.preparing.mat import load_mat
from bpkd.datasets.preparing.rle import decode
from bpkd.errors import UserError

# Names in 59_labels.txt of what labels.txt, the list of all 459, calls otherwise.
_ALIASES = {"diningtable": "table", "bedcloth": "bedclothes", "clothes": "cloth"}
LAYOUT = (
    "VOCdevkit/VOC2010 (trainval archive of VOC 2010, from host.robots.ox.ac.uk) beside, from "
    "cs.stanford.edu/~roozbeh/pascal-context, trainval/*.mat with labels.txt and 59_labels.txt; "
    "or beside trainval_merged.json of the Detail API"
)
Splits = dict[str, list[str]]


def from_mats(mats: Path, voc: Path, labels: Path) -> tuple[list[Job], Splits]:
    """The files, and the splits: those of VOC 2010, as far as they are annotated."""
    files = {file.stem: file for file in sorted(mats.glob("*.mat"))}
    splits = {
        split: [name for name in read_list(voc / f"ImageSets/Main/{split}.txt", LAYOUT)
                if name in files]
        for split in ("train", "val")
    }  # fmt: skip
    return [(file, labels / f"{name}.png") for name, file in files.items()], splits


def numbers(folder: Path) -> list[int]:
    """The number of each class among the 459 labels, as the lists beside the annotations say.

    Raises:
        UserError: the lists are missing, or not those of Pascal Context.
    """
    every, chosen = (_numbered(folder / name) for name in ("labels.txt", "59_labels.txt"))
    names = {_ALIASES.get(name, name) for name in chosen}
    if names != set(CLASSES) or not names <= every.keys():
        odd = sorted(names ^ set(CLASSES) or names - every.keys())[0]
        raise UserError(
            f"{folder}/59_labels.txt and labels.txt are not those of Pascal Context: {odd!r} is "
            "in one alone of the lists and the 59 classes"
        )
    return [every[name] for name in CLASSES]


def _numbered(file: Path) -> dict[str, int]:
    """Lines such as ``2: aeroplane``; spaces in names do not count."""
    try:
        lines = [
            line.split(":")
            for line in file.read_text(encoding="utf-8").splitlines()
            if line.strip()
        ]
        return {name.replace(" ", ""): int(number) for number, name in lines}
    except (OSError, ValueError):
        raise UserError(f"{file} is missing or no list such as '2: aeroplane': {LAYOUT}") from None


@dataclass(frozen=True)
class FromMat:
    """Makes the label map of a file with the variable ``LabelMap``, values 0 to 459.

    Attributes:
        numbers: of each class, in the classes' order.
    """

    numbers: list[int]

    def __call__(self, file: Path) -> Image.Image:
        """The label map: 0, or 1 + class."""
        return _image(np.asarray(load_mat(file)["LabelMap"]), self.numbers)


def from_json(file: Path, labels: Path) -> tuple[list[Job], Splits]:
    """Each image's masks, and the splits that the file calls phases."""
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        images = {image["image_id"]: image for image in content["images"]}
        masks: dict[int, list[Any]] = {image_id: [] for image_id in images}
        for each in content["annos_segmentation"]:
            masks[each["image_id"]].append((each["category_id"], each["segmentation"]))
        splits: Splits = {"train": [], "val": []}
        jobs: list[Job] = []
        for image_id, image in images.items():
            if image["phase"] in splits:
                name = Path(image["file_name"]).stem
                splits[image["phase"]].append(name)
                size = (image["height"], image["width"])
                jobs.append(((size, masks[image_id]), labels / f"{name}.png"))
    except (ValueError, KeyError, TypeError, UnicodeDecodeError) as error:
        raise UserError(
            f"{file} is not the file of the Detail API ({type(error).__name__}: {error}): expected "
            "images and annos_segmentation"
        ) from None
    return jobs, splits


def from_masks(item: tuple[tuple[int, int], list[Any]]) -> Image.Image:
    """The label map of a size and masks, (number, run lengths) each, later over earlier."""
    size, masks = item
    values = np.zeros(size, dtype=np.uint16)
    for number, mask in masks:
        values[decode(mask["counts"], size)] = number
    return _image(values, LABEL_IDS)


def _image(values: Any, of_classes: Any) -> Image.Image:
    """Numbers among the 459 labels -> 0, or 1 + class."""
    table = np.zeros(2**16, dtype=np.uint8)
    table[list(of_classes)] = np.arange(1, len(CLASSES) + 1)
    return Image.fromarray(table[values.astype(np.uint16)])
